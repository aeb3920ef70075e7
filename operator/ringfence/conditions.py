"""Builds the status of a Sandbox and the Events of its transitions. Pure.

A condition keeps its lastTransitionTime while its status stays the same, so that an unchanged
Sandbox yields an equal status and nothing is written.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from ringfence import fences, names, nodes, posture, workspace_state
from ringfence.api import Json
from ringfence.identity_state import identity_state
from ringfence.nodes import Nodes, Profiles
from ringfence.pod_state import PodState, has_gateway, is_condition_true, is_proven
from ringfence.status import Condition, ConditionStatus, Reason

_MESSAGE_LENGTH: Final = 1024
LIMITS_ENFORCED: Final = "LimitsEnforced"
NETWORK_FENCED: Final = "NetworkFenced"
_LIMITS_REASONS: Final = {
    "True": Reason.VERIFIED,
    "False": Reason.LIMIT_NOT_IN_FORCE,
    "Unknown": Reason.NOT_VERIFIED,
}
_NORMAL: Final = frozenset({Reason.STARTING, Reason.POD_READY, Reason.POD_SUCCEEDED})


class Observation(NamedTuple):
    """A condition before it is dated."""

    type: str
    status: ConditionStatus
    reason: Reason
    message: str


def observe_pod(
    state: PodState, pod: Json | None, outdated: Sequence[str] = ()
) -> list[Observation]:
    """Every condition that follows from the Pod.

    Args:
        state: What the Pod means.
        pod: The Pod, or None while there is none.
        outdated: Names of the Pods that were built from an older spec.
    """
    ready = Observation("Ready", state.ready, state.reason, state.message)
    found = [ready, _scheduled(pod), _workspace(state, pod)]
    # A fresh Pod says nothing new until it has a node: that saves a write per Sandbox.
    if pod is not None and (outdated or is_condition_true(pod, "PodScheduled")):
        found.append(_up_to_date(outdated))
    if state.phase in {"Succeeded", "Failed"}:
        found.append(Observation("Finished", "True", state.reason, state.message))
    return found


def _scheduled(pod: Json | None) -> Observation:
    if pod is not None and is_condition_true(pod, "PodScheduled"):
        node = pod["spec"].get("nodeName", "")
        return Observation("PodScheduled", "True", Reason.SCHEDULED, f"the Pod is on node {node}")
    return Observation("PodScheduled", "False", Reason.WAITING, "the Pod has no node yet")


def _workspace(state: PodState, pod: Json | None) -> Observation:
    """True once the Pod runs and not a moment before, as that would cost a write per Sandbox."""
    type_ = "WorkspaceReady"
    if pod and (state.phase == "Running" or workspace_state.was_mounted(pod)):
        message = workspace_state.mounted_message(pod)
        return Observation(type_, "True", Reason.WORKSPACE_MOUNTED, message)
    if state.reason is Reason.WORKSPACE_PENDING:
        return Observation(type_, "False", state.reason, state.message)
    return Observation(type_, "False", Reason.STARTING, "the Pod has not started with it yet")


def profiles_installed(wanted: Profiles, known: Nodes, node: str | None) -> Observation:
    """Whether the node has what the Pod names; before there is a node, whether any has."""
    type_ = names.PROFILES_INSTALLED
    if node is None:
        return _installed_somewhere(wanted, known)
    if not nodes.is_live(known, node):
        message = f"the node agent of {node} has stopped; {nodes.WAY_OUT}"
        return Observation(type_, "Unknown", Reason.NODE_AGENT_LOST, message)
    if nodes.has(known[node], wanted):
        return Observation(type_, "True", Reason.PROFILES_INSTALLED, f"{node} has {wanted}")
    message = f"{node} does not have {wanted} any more; {nodes.WAY_OUT}"
    return Observation(type_, "False", Reason.PROFILES_LOST, message)


def _installed_somewhere(wanted: Profiles, known: Nodes) -> Observation:
    type_ = names.PROFILES_INSTALLED
    if nodes.any_has(known, wanted):
        message = f"there are nodes with {wanted}"
        return Observation(type_, "True", Reason.PROFILES_INSTALLED, message)
    message = (
        f"no node with a live node agent has {wanted}; the DaemonSet of the node agent installs "
        f"it: {nodes.WAY_OUT}"
    )
    return Observation(type_, "False", Reason.PROFILES_NOT_INSTALLED, message)


def identity_ready(pod: Json | None) -> Observation | None:
    """Whether AWS gave credentials; None for a Pod without an identity."""
    found = identity_state(pod) if pod else None
    return Observation("IdentityReady", *found) if found else None


def limits_enforced(pod: Json, known: Nodes, now: datetime) -> Observation:
    """Whether every limit is in force, as the node agent read it back."""
    node = pod["spec"].get("nodeName")
    if not nodes.is_live(known, node):
        message = f"the node agent of {node} has stopped; {nodes.WAY_OUT}"
        return Observation(LIMITS_ENFORCED, "Unknown", Reason.NODE_AGENT_LOST, message)
    found = posture.finding(pod, names.RESOURCES_CONDITION, now)
    if found is None or posture.is_opaque(pod):
        message = "the node agent has not read the limits from the kernel"
        return Observation(LIMITS_ENFORCED, "Unknown", Reason.NOT_VERIFIED, message)
    return Observation(LIMITS_ENFORCED, found.status, _LIMITS_REASONS[found.status], found.message)


def network_fenced(
    pod: Json, known: Nodes, now: datetime, *, widened: Collection[str]
) -> Observation:
    """Whether the agent leaves its Pod by the proxy alone.

    Args:
        pod: The Pod that runs.
        known: What is known about the nodes.
        now: The time of the operator.
        widened: Foreign NetworkPolicies that open what the Sandbox's own one closes.
    """
    if widened:
        message = fences.widened_message(widened)
        return Observation(NETWORK_FENCED, "False", Reason.POLICY_WIDENED, message)
    if has_gateway(pod):
        return _behind_gateway(pod)
    if posture.is_opaque(pod):
        message = "there is no packet filter under another runtime (runtimeClassName)"
        return Observation(NETWORK_FENCED, "False", Reason.NETWORK_NOT_FENCED, message)
    return _fenced(pod, known, now)


def _behind_gateway(pod: Json) -> Observation:
    """No node agent is needed for this fence, and none looks at it."""
    if is_proven(pod):
        message = (
            "the agent's Pod reaches its egress gateway alone, by NetworkPolicy; proven from the "
            "agent's uid before it started"
        )
        return Observation(NETWORK_FENCED, "True", Reason.NETWORK_FENCED, message)
    message = "no guard has proven that the Pod reaches its egress gateway alone"
    return Observation(NETWORK_FENCED, "Unknown", Reason.NOT_VERIFIED, message)


def _fenced(pod: Json, known: Nodes, now: datetime) -> Observation:
    node = pod["spec"].get("nodeName")
    if not nodes.is_live(known, node):
        message = f"the node agent of {node} has stopped; {nodes.WAY_OUT}"
        return Observation(NETWORK_FENCED, "Unknown", Reason.NODE_AGENT_LOST, message)
    found = posture.finding(pod, names.NETWORK_CONDITION, now)
    if found is None:
        message = "the node agent has not read the packet filter from the kernel"
        return Observation(NETWORK_FENCED, "Unknown", Reason.NOT_VERIFIED, message)
    if found.status != "True" or not is_proven(pod):
        return Observation(NETWORK_FENCED, "False", Reason.NETWORK_NOT_FENCED, found.message)
    message = f"{found.message}; proven from the agent's uid before it started"
    return Observation(NETWORK_FENCED, "True", Reason.NETWORK_FENCED, message)


def _up_to_date(outdated: Sequence[str]) -> Observation:
    if not outdated:
        return Observation("UpToDate", "True", Reason.CURRENT, "the Pod matches the spec")
    names_ = " ".join(outdated)
    message = f"the Pod was built from an older spec; to roll it out: kubectl delete pod {names_}"
    return Observation("UpToDate", "False", Reason.OUTDATED, message)


def dated(
    observations: Iterable[Observation], old: Json, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The observations as conditions, Ready first, each with the time of its last transition."""
    before = {c["type"]: c for c in old.get("conditions", [])}
    return tuple(_dated(o, before.get(o.type), generation, now) for o in observations)


def _dated(seen: Observation, before: Json | None, generation: int, now: datetime) -> Condition:
    unchanged = before is not None and before["status"] == seen.status
    since = before["lastTransitionTime"] if before and unchanged else timestamp(now)
    return Condition(
        type=seen.type,
        status=seen.status,
        reason=seen.reason.value,
        message=seen.message[:_MESSAGE_LENGTH],
        observed_generation=generation,
        last_transition_time=since,
    )


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, cut to seconds as metav1.Time is."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def ready_reason(status: Json) -> str | None:
    """Reason of the Ready condition in a status as it was read."""
    found = (c["reason"] for c in status.get("conditions", []) if c["type"] == "Ready")
    return next(found, None)


def transition_event(sandbox: Json, ready: Condition, now: datetime) -> Json | None:
    """An Event if the reason of Ready differs from what the Sandbox's status says, else None."""
    if ready_reason(sandbox.get("status", {})) == ready.reason:
        return None
    kind = "Normal" if ready.reason in _NORMAL else "Warning"
    return event(sandbox, kind, ready.reason, ready.message, now)


def event(sandbox: Json, kind: str, reason: str, note: str, now: datetime) -> Json:
    """An events.k8s.io/v1 Event; its name follows from its content, so a retry makes no second."""
    meta = sandbox["metadata"]
    content = f"{meta['uid']} {reason} {note} {timestamp(now)}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{names.child_name(meta['name'])}.{digest}",
            "namespace": meta["namespace"],
        },
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": f"{names.GROUP}/operator",
        "reportingInstance": names.FIELD_MANAGER,
        "action": "Reconcile",
        "type": kind,
        "reason": reason,
        "note": note[:_MESSAGE_LENGTH],
        "regarding": {
            "apiVersion": names.API_VERSION,
            "kind": "Sandbox",
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
            "resourceVersion": meta.get("resourceVersion", ""),
        },
    }
