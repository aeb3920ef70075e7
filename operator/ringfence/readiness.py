"""Whether a Sandbox whose Pod runs may be called Ready: only what the node agent vouches for. Pure.

A Pod that is Ready for the kubelet is not yet one for us. What the node agent found wrong closes
the Sandbox's network, too.
"""

from datetime import timedelta
from typing import Final, NamedTuple

from ringfence import isolation, nodes, posture
from ringfence.acceptance import Accepted
from ringfence.api import Json
from ringfence.pod_state import PodState
from ringfence.status import Reason

VERIFY_SECONDS: Final = 15.0
"""Time for the node agent to look at a container that started, before its silence is a fault."""


class Fault(NamedTuple):
    """Something that the node agent found not to hold."""

    reason: Reason
    message: str


def fault(case: Accepted) -> Fault | None:
    """What the node agent found wrong with the Pod that runs."""
    pod = case.seen.pod
    if pod is None or posture.is_opaque(pod):
        return None
    verdict = posture.verdict(pod, case.seen.now)
    if verdict is not None and verdict.status != "True":
        message = f"the node agent found: {verdict.message}; delete the Pod to start anew"
        return Fault(Reason.POSTURE_NOT_VERIFIED, message)
    if problems := isolation.found_below_minimum(
        case.wanted.rules, pod, case.seen.now, case.seen.widened
    ):
        return Fault(Reason.ISOLATION_BELOW_MINIMUM, "; ".join(problems))
    return None


def judged(case: Accepted, pod: Json, state: PodState) -> PodState:
    """`state` as the node agent's findings leave it."""
    if posture.is_opaque(pod):
        return state
    if state.reason is Reason.STARTING:
        return _starting(case, pod, state)
    if state.reason is not Reason.POD_READY:
        return state
    if found := fault(case):
        return PodState("False", found.reason, found.message, "Running")
    return state if posture.verdict(pod, case.seen.now) else _unseen(case, pod)


def patience_left(case: Accepted, pod: Json) -> float | None:
    """Seconds after which to look again, if the node agent is still to say something."""
    left = _patience_left(case, pod)
    silent = posture.verdict(pod, case.seen.now) is None and not posture.is_opaque(pod)
    return left if silent and left > 0 else None


def _starting(case: Accepted, pod: Json, state: PodState) -> PodState:
    """Without the node agent the hook of the proxy would wait in vain; say so at once."""
    node = pod["spec"].get("nodeName")
    if node is None or nodes.is_live(case.seen.nodes, node):
        return state
    message = f"the Pod waits for the node agent of {node}, which has stopped; {nodes.WAY_OUT}"
    return PodState("False", Reason.NODE_AGENT_NOT_READY, message, "Starting")


def _unseen(case: Accepted, pod: Json) -> PodState:
    """The Pod runs and nobody has looked at it: still starting, and after a while a fault."""
    name, node = pod["metadata"]["name"], pod["spec"].get("nodeName", "")
    starting = PodState("False", Reason.STARTING, f"Pod {name} is starting", "Starting")
    if not nodes.is_live(case.seen.nodes, node):
        return _starting(case, pod, starting)
    if _patience_left(case, pod) > 0:
        return starting
    message = (
        f"the node agent of {node} lives but has not verified Pod {name}: see its log; "
        f"{nodes.WAY_OUT}"
    )
    return PodState("False", Reason.POSTURE_NOT_VERIFIED, message, "Running")


def _patience_left(case: Accepted, pod: Json) -> float:
    started = posture.agent_started(pod)
    if started is None:
        return 0.0
    return (started + timedelta(seconds=VERIFY_SECONDS) - case.seen.now).total_seconds()
