"""What the node agent read from the kernel about a Pod, as far as it can be believed. Pure.

The API server lets only the node agent of the Pod's node write these conditions. They say nothing
about an agent container that started after they were read, and nothing that cannot be parsed.
"""

import re
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from ringfence import names
from ringfence.api import Json, Layer
from ringfence.status import ConditionStatus, IsolationReason, LayerState, LayerStatus

LAYER_CONDITIONS: Final[dict[Layer, str]] = {
    "process": names.PROCESS_CONDITION,
    "namespaces": names.NAMESPACES_CONDITION,
    "seccomp": names.SECCOMP_CONDITION,
    "appArmor": names.APP_ARMOR_CONDITION,
    "resources": names.RESOURCES_CONDITION,
    "network": names.NETWORK_CONDITION,
}
"""Layers that are read back from the kernel, and the condition that tells of each."""

CLOCK_TOLERANCE: Final = timedelta(minutes=10)
"""How far the clock of a node may be ahead of the operator's."""

_STATES: Final[dict[ConditionStatus, LayerState]] = {
    "True": "Enforced",
    "False": "Degraded",
    "Unknown": "NotAvailable",
}
_REASON: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_MESSAGE_LENGTH: Final = 1024


class Finding(NamedTuple):
    """One condition that the node agent wrote and that still holds."""

    status: ConditionStatus
    reason: str
    message: str

    def layer(self) -> LayerStatus:
        """The finding as the state of a layer."""
        return LayerStatus(state=_STATES[self.status], reason=self.reason, message=self.message)


def is_opaque(pod: Json) -> bool:
    """True if the Pod's processes do not run on the node's own kernel, as under gVisor or Kata.

    What the node's kernel knows is then the runtime's own process and says nothing of the agent's.
    """
    return bool(pod["spec"].get("runtimeClassName"))


def verdict(pod: Json, now: datetime) -> Finding | None:
    """Whether all that must hold was found to hold; None while nobody has looked."""
    return finding(pod, names.POSTURE_VERIFIED, now)


def layers(pod: Json, now: datetime) -> dict[Layer, LayerStatus]:
    """The state of every layer that was read back."""
    found = {layer: finding(pod, type_, now) for layer, type_ in LAYER_CONDITIONS.items()}
    return {layer: seen.layer() for layer, seen in found.items() if seen}


def finding(pod: Json, type_: str, now: datetime) -> Finding | None:
    """The condition of this type, unless it is missing, misshapen or not about the present."""
    conditions = pod.get("status", {}).get("conditions") or []
    written = next((c for c in conditions if c.get("type") == type_), None)
    if written is None or written.get("status") not in _STATES:
        return None
    read, started = _moment(written.get("lastProbeTime")), agent_started(pod)
    if read is None or started is None or not started <= read <= now + CLOCK_TOLERANCE:
        return None
    message = str(written.get("message") or "no message")[:_MESSAGE_LENGTH]
    return Finding(written["status"], _reason(written.get("reason")), message)


def agent_started(pod: Json) -> datetime | None:
    """When the agent container that runs now was started; None if none runs."""
    containers = pod.get("status", {}).get("containerStatuses") or []
    agent: Json = next((c for c in containers if c.get("name") == names.AGENT_CONTAINER), {})
    running = (agent.get("state") or {}).get("running") or {}
    return _moment(running.get("startedAt"))


def _reason(written: object) -> str:
    """A reason that the Sandbox's own schema takes: the API server does not check a Pod's."""
    text = str(written or "")
    return text if _REASON.fullmatch(text) else IsolationReason.READ_BACK.value


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
