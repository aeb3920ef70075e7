"""The ConfigMap that holds the egress proxy's configuration. Pure.

Only the sidecar mounts it. A new allowlist changes this object and not the Pod: the proxy reloads.
"""

from functools import lru_cache
from typing import Final

from ringfence.api import EgressRule, Json
from ringfence.policy import Effective
from ringfence.resources import egress
from ringfence.resources.metadata import metadata
from ringfence.settings import Settings

_KEPT_ALLOWLISTS: Final = 256
"""Most Sandboxes share their class's list; writing the YAML anew costs 25 ms."""


def config_map(wanted: Effective, settings: Settings) -> Json:
    """The proxy's files, one key each."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(wanted.sandbox.metadata),
        "data": dict(_files(wanted.egress, settings.resolver)),
    }


@lru_cache(maxsize=_KEPT_ALLOWLISTS)
def _files(allow: tuple[EgressRule, ...], resolver: str) -> dict[str, str]:
    return egress.envoy_files(allow, resolver=resolver)
