"""Reads a Pod: does its identity work, and if not, what AWS said. Pure.

The program that asks STS ends with AWS's answer as its last words, which the kubelet puts into the
Pod's status. Nothing in there comes from the agent.
"""

from typing import Final, Literal, NamedTuple

from ringfence import names
from ringfence.api import Json
from ringfence.status import Reason

_NO_WORDS: Final = "ended without a word"
_CONTEXT: Final = "no credentials from AWS"


class IdentityState(NamedTuple):
    """What is known about the credentials of a Pod."""

    status: Literal["True", "False"]
    reason: Reason
    message: str


def identity_state(pod: Json) -> IdentityState | None:
    """Whether there are credentials; None for a Pod without an identity."""
    if not _has_identity(pod):
        return None
    status = _status(pod)
    state = status.get("state", {})
    if status.get("started") and "running" in state:
        message = "the credentials are there and are renewed every ten minutes"
        return IdentityState("True", Reason.CREDENTIALS_ISSUED, message)
    ended = state.get("terminated") or status.get("lastState", {}).get("terminated")
    if not ended or ended.get("exitCode") == 0:
        return IdentityState("False", Reason.STARTING, "the Pod has not asked for credentials yet")
    said = str(ended.get("message") or _NO_WORDS)
    return IdentityState("False", Reason.IDENTITY_NOT_READY, f"{_CONTEXT}: {said}")


def _has_identity(pod: Json) -> bool:
    containers = pod["spec"].get("initContainers", [])
    return any(c["name"] == names.CREDENTIALS_CONTAINER for c in containers)


def _status(pod: Json) -> Json:
    statuses = pod.get("status", {}).get("initContainerStatuses", [])
    return next((s for s in statuses if s["name"] == names.CREDENTIALS_CONTAINER), {})
