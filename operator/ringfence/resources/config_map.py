"""The ConfigMap that holds the egress proxy's configuration. Pure.

Only the proxy's container mounts it. A new allowlist changes this object and not the Pod: the proxy
reloads.
"""

from functools import lru_cache
from typing import Final

from ringfence.api import EgressRule, Json
from ringfence.policy import Effective, Identity
from ringfence.resources import egress
from ringfence.resources.metadata import metadata
from ringfence.settings import Settings

_KEPT_ALLOWLISTS: Final = 256
"""Most Sandboxes share their class's list; writing the YAML anew costs 25 ms."""


def config_map(wanted: Effective, settings: Settings, listen: str = egress.PROXY_ADDRESS) -> Json:
    """The proxy's files, one key each.

    Args:
        wanted: The accepted Sandbox.
        settings: The installation.
        listen: Address that the proxy listens on.
    """
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(wanted.sandbox.metadata),
        "data": dict(_files(wanted.egress, settings.resolver, listen, wanted.identity)),
    }


@lru_cache(maxsize=_KEPT_ALLOWLISTS)
def _files(
    allow: tuple[EgressRule, ...], resolver: str, listen: str, identity: Identity | None
) -> dict[str, str]:
    return egress.envoy_files(allow, resolver=resolver, listen=listen, identity=identity)
