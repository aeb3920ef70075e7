"""When a Pod waits for its volume, and when something else is the reason."""

from datetime import timedelta

import pytest

from ringfence.api import Json
from ringfence.pod_state import pod_state
from ringfence.resources.pod import pod
from ringfence.workspace_state import PATIENCE_SECONDS, patience_left, waiting_message
from samples import NOW, SETTINGS, accepted, sandbox_class

LATE = NOW + timedelta(seconds=PATIENCE_SECONDS)


def _pod(mode: str = "Hard", **storage: str) -> Json:
    rules = sandbox_class(storage={"mode": mode, **storage})
    body = pod(accepted(rules=rules), SETTINGS, 31234)
    body["metadata"]["creationTimestamp"] = "2026-01-01T12:00:00Z"
    return body


def _unscheduled(message: str, reason: str = "Unschedulable") -> Json:
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return _pod() | {"status": {"phase": "Pending", "conditions": [condition]}}


@pytest.mark.parametrize(
    "message",
    [
        "waiting for ephemeral volume controller to create the persistentvolumeclaim",
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
        "0/2 nodes are available: 2 node(s) did not have enough free storage.",
        "0/2 nodes are available: 2 node(s) had volume node affinity conflict.",
        'PVC agents/demo-workspace was not created for volume "workspace"',
    ],
)
def test_pod_starts_until_its_volume_is_late(message: str) -> None:
    waiting = _unscheduled(message)
    assert pod_state(waiting, NOW).reason == "Starting"
    late = pod_state(waiting, LATE)
    assert late.reason == "WorkspacePending"
    assert message in late.message


@pytest.mark.parametrize("message", ["Insufficient ephemeral-storage", "Insufficient cpu"])
def test_other_causes_are_told_at_once(message: str) -> None:
    assert pod_state(_unscheduled(message), NOW).reason == "Unschedulable"


def test_pod_of_a_gate_does_not_wait_for_a_volume() -> None:
    gated = _unscheduled(
        "Scheduling is blocked due to non-empty scheduling gates", "SchedulingGated"
    )
    assert pod_state(gated, LATE).reason == "Starting"


def test_pod_with_a_node_or_without_a_volume_of_its_own_does_not_wait() -> None:
    placed = _pod()
    placed["spec"]["nodeName"] = "node-1"
    assert patience_left(placed, LATE) is None
    assert patience_left(_pod("Soft"), LATE) is None


def test_pod_that_ended_before_it_had_a_node_is_called_ended() -> None:
    assert pod_state(_pod() | {"status": {"phase": "Failed"}}, LATE).reason == "PodFailed"


def test_message_names_the_storage_class_that_was_asked() -> None:
    assert "StorageClass 'fast'" in waiting_message(_pod(storageClassName="fast"))
    assert "the cluster's default StorageClass" in waiting_message(_pod())
