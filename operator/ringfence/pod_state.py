"""Reads a Pod: is it ready, and if not, why, and what can be done about it. Pure.

A list of checks in order of precedence. Messages are the same as long as the cause is, so that a
kubelet that alternates between two words for it causes no write.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final, NamedTuple

from ringfence import names, nodes, workspace_state
from ringfence.api import Json
from ringfence.identity_state import identity_state
from ringfence.status import ConditionStatus, Phase, Reason


class PodState(NamedTuple):
    """What a Pod means for its Sandbox."""

    ready: ConditionStatus
    reason: Reason
    message: str
    phase: Phase


_IMAGE_REASONS: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
_CREATE_REASONS: Final = frozenset(
    {"CreateContainerError", "CreateContainerConfigError", "RunContainerError"}
)
_FENCE_NOT_PROVEN: Final = f"{Reason.NETWORK_NOT_FENCED}:"
"""How the last words of the guard begin; see guard.py and images/proxy/wait-for-gateway."""
_HOOK_GAVE_UP: Final = f"{Reason.NODE_AGENT_NOT_READY}:"
"""How the last words of the proxy's hook begin; see images/proxy/wait-for-proxy."""


def pod_state(pod: Json, now: datetime) -> PodState:
    """The first check that has something to say; a Pod that nothing is wrong with is starting."""
    patience = workspace_state.patience_left(pod, now)
    if patience is None:
        for check in _CHECKS:
            if state := check(pod):
                return state
    elif patience <= 0:
        message = workspace_state.waiting_message(pod)
        return PodState("False", Reason.WORKSPACE_PENDING, message, "Pending")
    name = pod["metadata"]["name"]
    return PodState("False", Reason.STARTING, f"Pod {name} is starting", "Starting")


def is_condition_true(pod: Json, type_: str) -> bool:
    """True if the Pod has the condition with status True."""
    return any(c["type"] == type_ and c["status"] == "True" for c in _conditions(pod))


def has_ephemeral_container(pod: Json) -> bool:
    """True if somebody attached a debug container; it runs outside the agent's profiles."""
    return bool(pod["spec"].get("ephemeralContainers"))


def _conditions(pod: Json) -> list[Json]:
    found: list[Json] = pod.get("status", {}).get("conditions", [])
    return found


def _ended(pod: Json) -> PodState | None:
    phase = pod.get("status", {}).get("phase")
    if phase == "Succeeded":
        return PodState(
            "False", Reason.POD_SUCCEEDED, "the agent's process ended well", "Succeeded"
        )
    if phase == "Failed":
        return PodState("False", Reason.POD_FAILED, _failure(pod), "Failed")
    return None


def _failure(pod: Json) -> str:
    status = pod["status"]
    if status.get("reason"):
        return f"Pod failed: {status['reason']}: {status.get('message', 'no message')}"
    for container in _statuses(pod):
        ended = container.get("state", {}).get("terminated")
        if ended and ended.get("exitCode"):
            ours = container["name"] == names.GUARD_CONTAINER and ended.get("message")
            why = f": {ended['message'].strip()}" if ours else ""
            return f"container {container['name']} ended with exit code {ended['exitCode']}{why}"
    return "Pod failed"


def _unschedulable(pod: Json) -> PodState | None:
    for condition in _conditions(pod):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            message = f"no node takes the Pod: {condition.get('message', '')}"
            return PodState("False", Reason.UNSCHEDULABLE, message, "Pending")
    return None


def _waiting(pod: Json, reasons: frozenset[str]) -> Iterator[tuple[Json, Json]]:
    for container in _statuses(pod):
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in reasons:
            yield container, waiting


def _statuses(pod: Json) -> list[Json]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _image(pod: Json) -> PodState | None:
    for container, _ in _waiting(pod, _IMAGE_REASONS):
        message = (
            f"image {_image_of(pod, container['name'])!r} of container {container['name']} cannot "
            "be pulled: check its name, the registry and the ServiceAccount's imagePullSecrets"
        )
        return PodState("False", Reason.IMAGE_PULL_FAILED, message, "Starting")
    return None


def _image_of(pod: Json, container: str) -> str:
    both = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    return next((str(c["image"]) for c in both if c["name"] == container), "")


def _create(pod: Json) -> PodState | None:
    for container, waiting in _waiting(pod, _CREATE_REASONS):
        detail = str(waiting.get("message", waiting["reason"]))
        message = f"the runtime refuses container {container['name']}: {detail}{_hint(detail)}"
        return PodState("False", Reason.CONTAINER_CREATE_FAILED, message, "Starting")
    return None


def _hint(detail: str) -> str:
    """The way out for the refusals that a Ringfence installation can cause itself."""
    if "seccomp" in detail:
        return f"; is the node agent running on this node? {nodes.WAY_OUT}"
    if "apparmor" in detail.lower():
        return "; load the profile on the node, or set appArmor.mode of the class to Auto"
    return ""


def _guarded(pod: Json) -> PodState | None:
    """The hook of the proxy gave up, as nobody limited the Pod; the kubelet tries again.

    Where the proxy has a Pod of its own, the guard waits for the limit.
    """
    held = [
        c for c in _statuses(pod) if c["name"] == names.PROXY_CONTAINER and not c.get("started")
    ]
    if not is_proven(pod):
        held += _guards(pod)
    if all(_last_words(c, _HOOK_GAVE_UP) is None for c in held):
        return None
    message = (
        f"the agent container was not started, as the node agent of {pod['spec'].get('nodeName')} "
        f"has not limited the Pod's processes; tried again; {nodes.WAY_OUT}"
    )
    return PodState("False", Reason.NODE_AGENT_NOT_READY, message, "Starting")


def _identity(pod: Json) -> PodState | None:
    """Without credentials the agent is not started; one that runs has none any more."""
    found = identity_state(pod)
    if found is None or found.reason is not Reason.IDENTITY_NOT_READY:
        return None
    runs = pod["status"].get("phase") == "Running"
    message = f"{found.message}; tried again; see docs/identity.md"
    return PodState("False", found.reason, message, "Running" if runs else "Starting")


def _unfenced(pod: Json) -> PodState | None:
    """The guard gave up, as the agent could leave the Pod directly; the kubelet tries again."""
    said = next((text for g in _guards(pod) if (text := _last_words(g, _FENCE_NOT_PROVEN))), None)
    if said is None or is_proven(pod):
        return None
    message = (
        f"the agent container was not started, as its network is not fenced: {said}; tried again"
        f"{'' if has_gateway(pod) else f'; {nodes.WAY_OUT}'}"
    )
    return PodState("False", Reason.NETWORK_NOT_FENCED, message, "Starting")


def has_gateway(pod: Json) -> bool:
    """True if the egress proxy is not in the Pod itself."""
    inits = pod["spec"].get("initContainers", [])
    return all(container["name"] != names.PROXY_CONTAINER for container in inits)


def is_proven(pod: Json) -> bool:
    """True if the guard ended well, so that the agent was let go."""
    ended = (g.get("state", {}).get("terminated") or {} for g in _guards(pod))
    return any(end.get("exitCode") == 0 for end in ended)


def _guards(pod: Json) -> list[Json]:
    return [c for c in _statuses(pod) if c["name"] == names.GUARD_CONTAINER]


def _last_words(container: Json, prefix: str) -> str | None:
    """The rest of the container's termination message, now or last time, if it begins so."""
    states = (container.get("state", {}), container.get("lastState", {}))
    said = (str((state.get("terminated") or {}).get("message", "")) for state in states)
    return next(
        (text.removeprefix(prefix).strip() for text in said if text.startswith(prefix)), None
    )


def _crashing(pod: Json) -> PodState | None:
    for container, _ in _waiting(pod, frozenset({"CrashLoopBackOff"})):
        ended = container.get("lastState", {}).get("terminated", {})
        why = f"{ended.get('reason', 'Error')}, exit code {ended.get('exitCode', 'unknown')}"
        message = (
            f"container {container['name']} ends again and again ({why}): "
            f"kubectl logs {pod['metadata']['name']} -c {container['name']} --previous"
        )
        return PodState("False", Reason.CONTAINER_CRASHING, message, "Starting")
    return None


def _ready(pod: Json) -> PodState | None:
    if not is_condition_true(pod, "Ready"):
        return None
    name = pod["metadata"]["name"]
    message = f"Pod {name} runs: kubectl exec {name} -c {names.AGENT_CONTAINER} -- COMMAND"
    return PodState("True", Reason.POD_READY, message, "Running")


_Check = Callable[[Json], PodState | None]
_CHECKS: tuple[_Check, ...] = (
    _ended,
    _unschedulable,
    _image,
    _create,
    _guarded,
    _unfenced,
    _identity,
    _crashing,
    _ready,
)
