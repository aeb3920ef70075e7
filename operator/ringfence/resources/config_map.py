"""The ConfigMap that holds the egress proxy's configuration. Pure.

Only the sidecar mounts it. A new allowlist changes this object and not the Pod: the proxy reloads.
"""

from ringfence.api import Json
from ringfence.policy import Effective
from ringfence.resources import egress
from ringfence.resources.metadata import metadata
from ringfence.settings import Settings


def config_map(wanted: Effective, settings: Settings) -> Json:
    """The proxy's files, one key each."""
    rules = [egress.EgressRule(host=rule.host, ports=rule.ports) for rule in wanted.egress]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(wanted.sandbox.metadata),
        "data": egress.envoy_files(rules, resolver=settings.resolver),
    }
