"""The environment of the agent container: the product's fixed list and nothing else. Pure.

No secret, no author-chosen variable: what is in the environment, the agent can send away.
"""

import re
from typing import Final

from ringfence import names
from ringfence.api import Json
from ringfence.policy import Effective
from ringfence.resources import identity
from ringfence.resources.envoy_common import PROXY_ADDRESS, PROXY_PORT

SITE_PACKAGES: Final = "/work/.local/lib/python3.11/site-packages"
"""Where pip installs to and Python looks: inside the workspace, so that it dies with it."""

_FIXED: Final = {
    "CLAUDE_CODE_USE_BEDROCK": "1",
    "HOME": "/home/sandbox",
    "PATH": "/work/.local/bin:/usr/local/bin:/usr/bin:/bin",
    "PYTHONPATH": SITE_PACKAGES,
    "PIP_TARGET": SITE_PACKAGES,
    "LANG": "C.UTF-8",
    "TERM": "xterm-256color",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
}
_PROXY: Final = "HTTPS_PROXY"
_PROXY_VARIABLES: Final = (_PROXY, "https_proxy", "HTTP_PROXY", "http_proxy")
"""Programs disagree on the spelling: curl reads only the small one for http, Node the large."""
_URL: Final = re.compile(rf"http://(?P<address>[0-9]+(\.[0-9]+){{3}}):{PROXY_PORT}")


def environment(wanted: Effective) -> list[Json]:
    """The agent's variables, sorted by name."""
    url = f"http://{wanted.gateway_address or PROXY_ADDRESS}:{PROXY_PORT}"
    variables = {**_FIXED, "AWS_REGION": wanted.rules.identity.region, **identity.variables(wanted)}
    variables |= dict.fromkeys(_PROXY_VARIABLES, url)
    return [{"name": name, "value": variables[name]} for name in sorted(variables)]


def proxy_address(pod: Json) -> str | None:
    """Where the agent of a Pod looks for its proxy; None if it does not say so as we do."""
    agent: Json = next(
        (c for c in pod["spec"]["containers"] if c["name"] == names.AGENT_CONTAINER), {}
    )
    urls = (v.get("value", "") for v in agent.get("env", []) if v.get("name") == _PROXY)
    found = _URL.fullmatch(next(urls, ""))
    return found["address"] if found else None
