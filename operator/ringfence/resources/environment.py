"""The environment of the agent container: the product's fixed list and nothing else. Pure.

No secret, no author-chosen variable: what is in the environment, the agent can send away.
"""

from typing import Final

from ringfence.api import Json
from ringfence.policy import Effective

SITE_PACKAGES: Final = "/work/.local/lib/python3.11/site-packages"
"""Where pip installs to and Python looks: inside the workspace, so that it dies with it."""

PROXY_URL: Final = "http://127.0.0.1:3128"

_FIXED: Final = {
    "CLAUDE_CODE_USE_BEDROCK": "1",
    "HOME": "/home/sandbox",
    "PATH": "/work/.local/bin:/usr/local/bin:/usr/bin:/bin",
    "PYTHONPATH": SITE_PACKAGES,
    "PIP_TARGET": SITE_PACKAGES,
    "LANG": "C.UTF-8",
    "TERM": "xterm-256color",
    # Programs disagree on the spelling: curl reads only the small one for http, Node the large.
    "HTTPS_PROXY": PROXY_URL,
    "https_proxy": PROXY_URL,
    "HTTP_PROXY": PROXY_URL,
    "http_proxy": PROXY_URL,
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
}


def environment(wanted: Effective) -> list[Json]:
    """The agent's variables, sorted by name."""
    variables = {**_FIXED, "AWS_REGION": wanted.rules.identity.region}
    return [{"name": name, "value": variables[name]} for name in sorted(variables)]
