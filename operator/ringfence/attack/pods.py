"""What the attack reads of a Pod and of a node: limits, state, addresses. Pure.

Of a Pod that somebody else made, nothing is taken for granted: what it does not promise is held
against the product's own default limits.
"""

import json
import re
from typing import Final

from ringfence import names, quantity
from ringfence.api import SEED_LIMITS, Json
from ringfence.attack.model import Limits


def limits_of(pod: Json, container: str) -> Limits:
    """Limits that the Pod promises for a container."""
    promised = _enforced_by_the_node(pod)
    own = (_container(pod, container).get("resources") or {}).get("limits") or {}
    return Limits(
        pids=int(promised.get("pids") or SEED_LIMITS.pids),
        memory=_bytes(own.get("memory"), SEED_LIMITS.memory),
        disk=int(promised.get("diskBytes") or _bytes(_claim(pod) or own.get("ephemeral-storage"))),
    )


def _enforced_by_the_node(pod: Json) -> Json:
    variables = _container(pod, names.PROXY_CONTAINER).get("env") or []
    values = [v.get("value", "") for v in variables if v["name"] == names.LIMITS_VARIABLE]
    try:
        found = json.loads(values[0]) if values else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _claim(pod: Json) -> str | None:
    """Size of the Sandbox's own volume."""
    for volume in pod["spec"].get("volumes", []):
        if volume["name"] == names.WORKSPACE_VOLUME and "ephemeral" in volume:
            claim = volume["ephemeral"]["volumeClaimTemplate"]["spec"]
            return str(claim["resources"]["requests"]["storage"])
    return None


def _container(pod: Json, name: str) -> Json:
    spec = pod["spec"]
    everyone = [*spec.get("initContainers", []), *spec["containers"]]
    found: Json = next((c for c in everyone if c["name"] == name), {})
    return found


def has_container(pod: Json, name: str) -> bool:
    """Whether the Pod has such a container."""
    return bool(_container(pod, name))


def _bytes(wanted: str | None, default: str = SEED_LIMITS.disk) -> int:
    """A quantity in bytes; what Sandboxes may not write counts as no promise."""
    usable = wanted if re.match(quantity.PATTERN, wanted or "") else None
    return int(quantity.parse(usable or default))


def container_status(pod: Json | None, container: str) -> Json:
    """Status of a container; empty while there is none."""
    status = (pod or {}).get("status", {})
    found = [s for s in status.get("containerStatuses", []) if s["name"] == container]
    return found[0] if found else {}


def is_running(pod: Json | None, container: str) -> bool:
    """Whether commands can run in the container."""
    return "running" in container_status(pod, container).get("state", {})


def out_of_memory(pod: Json | None, container: str) -> bool:
    """Whether the container's last end was for taking too much memory."""
    last = container_status(pod, container).get("lastState", {})
    return (last.get("terminated") or {}).get("reason") == "OOMKilled"


def condition(obj: Json | None, type_: str = "Ready") -> Json:
    """A condition of any object; empty if it has none of the type."""
    found = (obj or {}).get("status", {}).get("conditions", [])
    return next((c for c in found if c["type"] == type_), {})


_PRESSURES: Final = ("MemoryPressure", "DiskPressure", "PIDPressure")


def node_troubles(node: Json) -> list[str]:
    """What is wrong with a node."""
    pressures = [p for p in _PRESSURES if condition(node, p).get("status") == "True"]
    ready = condition(node).get("status") == "True"
    return [*([] if ready else ["not Ready"]), *pressures]
