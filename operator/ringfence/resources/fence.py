"""What the proxy may reach from its Pod, for the node agent to make a packet filter of. Pure.

It stands where the limits stand and for the same reasons (limits.py). The ports are those that the
class permits at most, so that an allowlist may change while the Pod runs; which of them are open
at the moment is the business of NetworkPolicy and proxy.
"""

import json

from ringfence import names
from ringfence.api import Json
from ringfence.policy import Effective, class_egress, way_out
from ringfence.resources import egress
from ringfence.settings import Settings


def is_fenced(wanted: Effective) -> bool:
    """Whether there is a packet filter. Under another runtime sockets are not the node's."""
    return wanted.rules.runtime_class_name is None


def fence_variable(wanted: Effective, settings: Settings) -> Json:
    """The environment variable of the proxy container."""
    ceiling = (*class_egress(wanted.rules), *wanted.rules.egress.permitted)
    rules = (*ceiling, *way_out(wanted))
    ports = sorted({port for rule in rules for port in rule.ports})
    fence = {"ports": ports, "resolver": settings.resolver}
    return {"name": names.FENCE_VARIABLE, "value": json.dumps(fence, separators=(",", ":"))}


def guard(settings: Settings) -> Json:
    """The container that proves from the agent's uid that the packet filter holds.

    The agent container starts only after it ended well.
    """
    proxy = f"{egress.PROXY_ADDRESS}:{egress.PROXY_PORT}"
    return {
        "name": names.GUARD_CONTAINER,
        "image": settings.operator_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["ringfence-guard", "--proxy", proxy, "--resolver", settings.resolver],
        "resources": {
            "limits": {"cpu": "1", "memory": "64Mi", "ephemeral-storage": "16Mi"},
            "requests": {"cpu": "10m", "memory": "32Mi", "ephemeral-storage": "1Mi"},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
