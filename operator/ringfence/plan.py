"""Decides the next step for one Sandbox from what was read. Pure: no I/O, no clock of its own.

The steps, each only when the one before was read back: wait for a node that has the profiles;
record the uid in the status; apply the ServiceAccount, NetworkPolicy and proxy configuration; apply
the egress gateway, where there is one, and wait until it serves; apply the Pod; make each Pod a
second owner of its NetworkPolicy. Then nothing but status, until something differs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, NamedTuple

from ringfence import conditions, drift, gateway_state, isolation, names, workspace_state
from ringfence.acceptance import Accepted, Observed, Refused, accept, is_built_as, is_ours
from ringfence.api import Json
from ringfence.conditions import Observation
from ringfence.kinds import POD, SERVICE_ACCOUNT, ApiError, Kind
from ringfence.nodes import any_has, profiles_of
from ringfence.pod_state import PodState, pod_state
from ringfence.readiness import fault, judged, patience_left
from ringfence.resources.service_account import service_account
from ringfence.settings import Settings
from ringfence.status import Phase, Reason, SandboxStatus
from ringfence.supports import Supports, closed, supports

ALTERED_PAUSE_SECONDS: Final = 60.0
"""A Pod that admission altered is not created again at once: the webhook would do it again."""

_INTACT: Final = "PodIntact"

UNWATCHED_SECONDS: Final = 15.0
"""Time between two looks at a cause whose end no watch reports."""
_CLOSING: Final = frozenset({Reason.POSTURE_NOT_VERIFIED, Reason.ISOLATION_BELOW_MINIMUM})
"""Reasons to close the network of a Pod that runs; opening it again repairs nothing."""
_UNWATCHED: Final = frozenset({Reason.NAME_CONFLICT, Reason.UIDS_EXHAUSTED})


class Removal(NamedTuple):
    """An object to delete, and the uid that it must still have."""

    kind: Kind
    name: str
    uid: str


@dataclass(frozen=True)
class Plan:
    """What to write now, in this order: removals, children, status, events."""

    delete: tuple[Removal, ...] = ()
    apply: tuple[Json, ...] = ()
    status: Json | None = None
    """The whole new status, or None if it is as it should be."""
    events: tuple[Json, ...] = ()
    again: bool = False
    """True: read again and plan the next step at once."""
    requeue_after: float | None = None


def plan(seen: Observed, settings: Settings) -> Plan:
    """The next step. An empty Plan means that everything is as it should be."""
    if seen.body["metadata"].get("deletionTimestamp"):
        return Plan()
    try:
        case = accept(seen, settings)
    except Refused as refusal:
        return _refuse(seen, settings, refusal)
    return next((todo for step in _STEPS if (todo := step(case))), None) or _settle(case)


def rejection(seen: Observed, error: ApiError) -> Plan:
    """What to say when the API server refuses a child; the caller tries again later."""
    reason = Reason.REJECTED
    if any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes):
        reason = Reason.NAMESPACE_TERMINATING
    ready = Observation("Ready", "False", reason, f"the API server refuses: {error.message}")
    return _statement(seen, [ready], "Pending", _kept_details(seen))


# --- refusal ----------------------------------------------------------------------------------


def _refuse(seen: Observed, settings: Settings, refusal: Refused) -> Plan:
    """No new Pod. One that runs keeps running, but loses its network: no class vouches for it."""
    ready = Observation("Ready", "False", refusal.reason, refusal.message)
    written = _statement(seen, [ready], "Pending", _kept_details(seen))
    if refusal.reason in _UNWATCHED:
        written = replace(written, requeue_after=UNWATCHED_SECONDS)
    agent, gateway = (_own_pod(seen, found) for found in (seen.children, seen.gateway))
    if agent and refusal.reason is not Reason.NAME_CONFLICT:
        return replace(written, apply=tuple(body for _, body, _ in _due(closed(seen, settings))))
    # Somebody's object may stand where a fence was: no Pod must run without it. And a gateway
    # without an agent serves nobody.
    runs = [pod for pod in (agent, gateway) if pod and not pod["metadata"].get("deletionTimestamp")]
    return replace(written, delete=tuple(_removal(POD, pod) for pod in runs))


def _own_pod(seen: Observed, found: Mapping[Kind, Json]) -> Json | None:
    """The Pod, if it is the Sandbox's."""
    pod = found.get(POD)
    return pod if pod and is_ours(pod, seen.owner.uid) else None


def _kept_details(seen: Observed) -> Json:
    kept = {"uid": "uid", "pod_name": "podName", "gateway_pod_name": "gatewayPodName"}
    return {field: seen.status.get(name) for field, name in kept.items()}


# --- steps ------------------------------------------------------------------------------------


def _await_node(case: Accepted) -> Plan | None:
    """No Pod while no node could run it; the Sandbox is queued again when a node changes."""
    if case.seen.pod is not None or any_has(case.seen.nodes, profiles_of(case.pod)):
        return None
    missing = _profiles(case)
    ready = Observation("Ready", "False", missing.reason, missing.message)
    return _statement(case.seen, [ready, missing], "Pending", _details(case, "Pending"))


def _profiles(case: Accepted) -> Observation:
    """The Pod that exists may name other profiles than one that is built today."""
    pod = case.seen.pod
    node = pod["spec"].get("nodeName") if pod else None
    return conditions.profiles_installed(profiles_of(pod or case.pod), case.seen.nodes, node)


def _record_uid(case: Accepted) -> Plan | None:
    """The uid is in the status before anything uses it, or a restart could give it away twice.

    So is the name of the gateway, or a class that changes its mode would leave one behind unseen.
    """
    status, gateway = case.seen.status, gateway_state.pod_name(case)
    if status.get("uid") == case.uid and gateway in {None, status.get("gatewayPodName")}:
        return None
    return replace(_say_starting(case), again=True)


def _say_starting(case: Accepted) -> Plan:
    message = f"Pod {case.pod['metadata']['name']} is starting"
    state = PodState("False", Reason.STARTING, message, "Starting")
    observations = [*conditions.observe_pod(state, None), _profiles(case)]
    return _statement(case.seen, observations, state.phase, _details(case, state.phase))


def _remove(case: Accepted) -> Plan | None:
    """Objects that cannot be corrected in place: a hijacked account, a Pod that was altered."""
    account = case.seen.children.get(SERVICE_ACCOUNT)
    if account and drift.carries_foreign_role(service_account(case.wanted), account):
        return Plan(delete=(_removal(SERVICE_ACCOUNT, account),), again=True)
    pod = case.seen.pod
    if pod is None or pod["metadata"].get("deletionTimestamp"):
        return None
    altered = _alterations(case, pod)
    return _remove_altered(case, pod, altered) if altered else None


def _remove_gateway(case: Accepted) -> Plan | None:
    """A gateway that is needed no more, or of no use, or not the one that was built."""
    pod = _own_pod(case.seen, case.seen.gateway)
    if pod is None or pod["metadata"].get("deletionTimestamp"):
        return None
    if gateway_state.must_go(case, pod):
        return Plan(delete=(_removal(POD, pod),), again=True)
    altered = gateway_state.alterations(case, pod)
    return _remove_altered(case, pod, altered) if altered else None


def _remove_altered(case: Accepted, pod: Json, altered: list[str]) -> Plan:
    name = pod["metadata"]["name"]
    message = f"Pod {name} differs from what was applied and was removed: {', '.join(altered)}"
    observations = [
        Observation("Ready", "False", Reason.POD_ALTERED, message),
        Observation(_INTACT, "False", Reason.POD_ALTERED, message),
    ]
    written = _statement(case.seen, observations, "Pending", _details(case, "Pending"))
    pause = ALTERED_PAUSE_SECONDS
    return replace(written, delete=(_removal(POD, pod),), requeue_after=pause)


def _alterations(case: Accepted, pod: Json) -> list[str]:
    """An outdated Pod is judged only by what no spec can change: its user."""
    if is_built_as(case.pod, pod):
        return drift.pod_alterations(case.pod, pod)
    context = pod["spec"].get("securityContext", {})
    return [] if context.get("runAsUser") == case.uid else ["spec.securityContext.runAsUser"]


def _removal(kind: Kind, body: Json) -> Removal:
    return Removal(kind, body["metadata"]["name"], body["metadata"]["uid"])


def _prepare(case: Accepted) -> Plan | None:
    """What must be there before a Pod, which waits for its read-back."""
    todo = _due(supports(case))
    if not todo:
        return None
    bodies = tuple(body for _, body, _ in todo)
    return Plan(apply=bodies, events=_repairs(case, todo), again=True)


def _due(found: Supports) -> Supports:
    """Those that are missing or not as built."""
    return [(k, body, seen) for k, body, seen in found if not seen or drift.child_drift(body, seen)]


def _repairs(case: Accepted, todo: Supports) -> tuple[Json, ...]:
    """An Event if somebody removed or edited what this generation of the spec had already."""
    if case.seen.pod is None or case.seen.status["observedGeneration"] != case.generation:
        return ()
    if fault(case) or conditions.ready_reason(case.seen.status) in _CLOSING:
        return ()
    found = [f"{kind.kind}: {_what(body, seen)}" for kind, body, seen in todo]
    found = [text for text in found if not text.endswith(": metadata.ownerReferences")]
    if not found:
        return ()
    note = f"repaired {'; '.join(found)}"
    return (conditions.event(case.seen.body, "Warning", "DriftRepaired", note, case.seen.now),)


def _what(wanted: Json, seen: Json | None) -> str:
    return ", ".join(drift.child_drift(wanted, seen)) if seen else "was missing"


def _start_gateway(case: Accepted) -> Plan | None:
    if not gateway_state.is_due(case) or POD in case.seen.gateway:
        return None
    return _make(case, gateway_state.built(case))


def _await_gateway(case: Accepted) -> Plan | None:
    """No Pod of the agent before its gateway serves. The pause after an alteration goes on."""
    waits = gateway_state.is_due(case) and case.seen.pod is None and not _was_altered(case)
    state = gateway_state.trouble(case) if waits else None
    if state is None:
        return None
    if state.reason is Reason.STARTING:
        return _say_starting(case)
    observations = [*conditions.observe_pod(state, None), _profiles(case)]
    return _statement(case.seen, observations, state.phase, _details(case, state.phase))


def _start(case: Accepted) -> Plan | None:
    return None if case.seen.pod else _make(case, case.pod)


def _make(case: Accepted, pod: Json) -> Plan:
    """Applies a Pod; after one that was altered, not before the pause is over."""
    if not _was_altered(case):
        return Plan(apply=(pod,), again=True)
    pause = _pause_left(case)
    if pause > 0:
        return Plan(requeue_after=pause)
    return replace(_say_starting(case), again=True)


def _was_altered(case: Accepted) -> bool:
    return conditions.ready_reason(case.seen.status) == Reason.POD_ALTERED


def _nudge(case: Accepted) -> Plan | None:
    """A changed allowlist changes an annotation, or the kubelet would take a minute to notice."""
    wanted, pod = case.pod, case.seen.pod
    if gateway_state.is_due(case):
        wanted, pod = gateway_state.built(case), case.seen.gateway.get(POD)
    if pod is None or not is_built_as(wanted, pod) or _same_egress(wanted, pod):
        return None
    return Plan(apply=(wanted,), again=True)


def _same_egress(*pods: Json) -> bool:
    annotations = (body["metadata"].get("annotations", {}) for body in pods)
    return len({found.get(names.EGRESS_HASH_ANNOTATION) for found in annotations}) == 1


def _pause_left(case: Accepted) -> float:
    """Seconds that an altered Pod must still stay away."""
    found = case.seen.status["conditions"]
    since = next(c["lastTransitionTime"] for c in found if c["type"] == _INTACT)
    waited = (case.seen.now - datetime.fromisoformat(since)).total_seconds()
    return ALTERED_PAUSE_SECONDS - waited


def _settle(case: Accepted) -> Plan:
    """All is applied: say how the Pod does."""
    pod = case.seen.pod
    if pod is None:
        return Plan()
    state = gateway_state.judged(case, judged(case, pod, pod_state(pod, case.seen.now)))
    if pod["metadata"].get("deletionTimestamp"):
        if _was_altered(case):
            return Plan()
        message = f"Pod {pod['metadata']['name']} is ending and will be replaced"
        state = PodState("False", Reason.STARTING, message, "Starting")
    observations = [*_observations(case, pod, state)]
    written = _statement(case.seen, observations, state.phase, _details(case, state.phase))
    return replace(written, requeue_after=_patience_left(case, pod))


def _patience_left(case: Accepted, pod: Json) -> float | None:
    """No watch reports that a volume is late, or that a node agent says nothing."""
    volume = workspace_state.patience_left(pod, case.seen.now)
    waits = [left for left in (volume, patience_left(case, pod)) if left and left > 0]
    return min(waits, default=None)


def _observations(case: Accepted, pod: Json, state: PodState) -> Iterator[Observation]:
    outdated = [] if is_built_as(case.pod, pod) else [pod["metadata"]["name"]]
    outdated += gateway_state.outdated(case)
    yield from conditions.observe_pod(state, pod, outdated)
    if state.phase not in {"Succeeded", "Failed"}:
        yield _profiles(case)
    if state.phase == "Running":
        yield conditions.limits_enforced(pod, case.seen.nodes, case.seen.now)
        yield conditions.network_fenced(
            pod, case.seen.nodes, case.seen.now, widened=case.seen.widened
        )
    elif state.reason is Reason.NETWORK_NOT_FENCED:
        yield Observation(conditions.NETWORK_FENCED, "False", state.reason, state.message)
    if identity := conditions.identity_ready(pod):
        yield identity


_STEPS: Final = (
    _await_node,
    _record_uid,
    _remove,
    _remove_gateway,
    _prepare,
    _start_gateway,
    _await_gateway,
    _start,
    _nudge,
)

# --- status -----------------------------------------------------------------------------------


def _statement(
    seen: Observed, observations: list[Observation], phase: Phase, details: Json
) -> Plan:
    """A Plan that writes the status, if it differs, and the Event of the transition, if any."""
    generation = seen.owner.generation
    dated = conditions.dated(observations, seen.status, generation, seen.now)
    status = SandboxStatus(
        observed_generation=generation, phase=phase, conditions=dated, **details
    ).model_dump(mode="json", by_alias=True, exclude_none=True)
    if status == seen.status:
        return Plan()
    event = conditions.transition_event(seen.body, dated[0], seen.now)
    return Plan(status=status, events=(event,) if event else ())


def _details(case: Accepted, phase: Phase) -> Json:
    pod = case.seen.pod
    return {
        "class_name": case.wanted.class_name,
        "image": case.wanted.image,
        "pod_name": case.pod["metadata"]["name"],
        "gateway_pod_name": gateway_state.pod_name(case),
        "node_name": pod["spec"].get("nodeName") if pod else None,
        "uid": case.uid,
        "isolation": isolation.observed(
            case.wanted.rules,
            pod if phase == "Running" else None,
            case.seen.nodes,
            case.seen.now,
            case.seen.widened,
        ),
    }
