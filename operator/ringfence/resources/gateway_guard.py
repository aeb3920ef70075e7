"""The guard of an agent whose egress proxy has a Pod of its own: what must hold before it starts.

An ordinary init container, unprivileged, with the agent's uid. It ends well only when the node
agent has limited the Pod, the gateway accepts connections, and API server, kubelet and cluster DNS
do not answer. It must not try any address outside of the cluster. Pure.
"""

from typing import Final

from ringfence import names
from ringfence.api import Json
from ringfence.policy import Effective
from ringfence.resources.limits import limits_variable
from ringfence.settings import Settings

_PATIENCE_SECONDS: Final = 60
"""Until it gives up, says why, and is started again by the kubelet."""
_ONLY_TRY_SECONDS: Final = 600
"""The same where the restart policy says that it is not: the Pod has failed then."""


def gateway_guard(wanted: Effective, settings: Settings) -> Json:
    """The init container of the agent's Pod."""
    return {
        "name": names.GUARD_CONTAINER,
        "image": settings.proxy_image,
        "imagePullPolicy": "IfNotPresent",
        "command": _command(wanted, settings),
        "env": [limits_variable(wanted), _address_of_the_node()],
        "resources": {
            "limits": {"cpu": "1", "memory": "64Mi", "ephemeral-storage": "16Mi"},
            "requests": {"cpu": "10m", "memory": "16Mi", "ephemeral-storage": "1Mi"},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }


def _command(wanted: Effective, settings: Settings) -> list[str]:
    """Under another runtime the node's control groups are not seen; the class chooses that."""
    one_try = wanted.sandbox.spec.restart_policy == "Never"
    patience = _ONLY_TRY_SECONDS if one_try else _PATIENCE_SECONDS
    limits = [] if wanted.rules.runtime_class_name is None else ["--without-limits"]
    return [
        "wait-for-gateway",
        *limits,
        str(patience),
        wanted.gateway_address or "",
        settings.resolver,
    ]


def _address_of_the_node() -> Json:
    field = {"apiVersion": "v1", "fieldPath": "status.hostIP"}
    return {"name": "RINGFENCE_NODE_ADDRESS", "valueFrom": {"fieldRef": field}}
