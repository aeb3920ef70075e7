"""What a Pod means for its Sandbox: one row per reason."""

from typing import Any

import pytest

from ringfence.api import Json
from ringfence.pod_state import pod_state
from samples import NOW


def _pod(**status: Any) -> Json:
    containers = [{"name": "agent", "image": "team/agent:1"}]
    return {"metadata": {"name": "demo"}, "spec": {"containers": containers}, "status": status}


def _waiting(reason: str, message: str = "", **more: Any) -> Json:
    state = {"waiting": {"reason": reason, "message": message}}
    return _pod(phase="Pending", containerStatuses=[{"name": "agent", "state": state, **more}])


def _held(container: str, words: str, **more: Any) -> Json:
    """A Pod whose guard gave up with these words, and waits to be started again."""
    last = {"terminated": {"exitCode": 1, "message": f"{words}\n"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    status = {"name": container, "state": waiting, "lastState": last, **more}
    return _pod(phase="Pending", initContainerStatuses=[status])


NO_LIMIT = "NodeAgentNotReady: no limit on processes after 60 s"
OPEN = "NetworkNotFenced: the Pod reaches the API server (10.96.0.1:443), which no Sandbox may"

ROWS: dict[str, tuple[Json, str, str]] = {
    "sidecar without limits": (
        _held("egress-proxy", NO_LIMIT, started=False),
        "NodeAgentNotReady",
        "has not limited the Pod's processes",
    ),
    "guard without limits": (_held("guard", NO_LIMIT), "NodeAgentNotReady", "tried again"),
    "open network": (_held("guard", OPEN), "NetworkNotFenced", "the API server (10.96.0.1:443)"),
    "words of an agent": (_held("agent", OPEN), "ContainerCrashing", "ends again and again"),
    "guard that had one try": (
        _pod(
            phase="Failed",
            initContainerStatuses=[
                {"name": "guard", "state": {"terminated": {"exitCode": 1, "message": OPEN}}}
            ],
        ),
        "PodFailed",
        f"exit code 1: {OPEN}",
    ),
    "what a guard said before it ended well": (
        _pod(
            phase="Running",
            conditions=[{"type": "Ready", "status": "True"}],
            initContainerStatuses=[
                {
                    "name": "guard",
                    "state": {"terminated": {"exitCode": 0}},
                    "lastState": {"terminated": {"message": OPEN}},
                }
            ],
        ),
        "PodReady",
        "kubectl exec demo",
    ),
    "new": (_pod(), "Starting", "is starting"),
    "unschedulable": (
        _pod(
            conditions=[
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/1 nodes are available",
                }
            ]
        ),
        "Unschedulable",
        "0/1 nodes are available",
    ),
    "image": (_waiting("ErrImagePull", "rpc error"), "ImagePullFailed", "'team/agent:1'"),
    "seccomp": (
        _waiting("CreateContainerError", "cannot load seccomp profile"),
        "ContainerCreateFailed",
        "is the node agent running on this node? kubectl get sandboxnodes",
    ),
    "apparmor": (
        _waiting("CreateContainerError", "apparmor profile not found x"),
        "ContainerCreateFailed",
        "appArmor.mode",
    ),
    "crash": (
        _waiting(
            "CrashLoopBackOff", lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}}
        ),
        "ContainerCrashing",
        "OOMKilled, exit code 137",
    ),
    "evicted": (_pod(phase="Failed", reason="Evicted", message="disk"), "PodFailed", "Evicted"),
    "failed": (
        _pod(
            phase="Failed",
            containerStatuses=[{"name": "agent", "state": {"terminated": {"exitCode": 3}}}],
        ),
        "PodFailed",
        "exit code 3",
    ),
    "done": (_pod(phase="Succeeded"), "PodSucceeded", "ended well"),
    "ready": (
        _pod(phase="Running", conditions=[{"type": "Ready", "status": "True"}]),
        "PodReady",
        "kubectl exec demo",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_pod_gives_reason_and_a_message_that_helps(row: str) -> None:
    pod, reason, text = ROWS[row]
    state = pod_state(pod, NOW)
    assert state.reason == reason
    assert text in state.message
    assert state.ready == ("True" if reason == "PodReady" else "False")


def test_message_stays_while_kubelet_alternates_between_two_words() -> None:
    first, second = _waiting("ErrImagePull", "a"), _waiting("ImagePullBackOff", "b")
    assert pod_state(first, NOW) == pod_state(second, NOW)
