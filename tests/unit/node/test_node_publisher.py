"""Heartbeats and labels: written when they differ, in the right order, made anew if removed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from node_samples import PROFILE
from ringfence.node.api import ApiError, Json, Unreachable
from ringfence.node.publisher import Publisher
from ringfence.node.report import NodeState

STATE = NodeState("0.1.0", 1, (PROFILE,), False, (), ())  # noqa: FBT003
LABEL = "seccomp.ringfence.dev/sandbox-agent-a801bcd8"
NODE = "/api/v1/nodes/node-1"
SANDBOX_NODE = "/apis/ringfence.dev/v1alpha1/sandboxnodes/node-1"


class FakeClient:
    """The two objects of one node."""

    def __init__(self) -> None:
        self.labels: dict[str, str] = {"kubernetes.io/os": "linux"}
        self.status: Json | None = None
        self.exists = False
        self.calls: list[str] = []
        self.unreachable = False

    def get(self, path: str) -> Json:
        self.calls.append(f"get {path}")
        return self._node()

    def _node(self) -> Json:
        return {"metadata": {"name": "node-1", "uid": "u", "labels": dict(self.labels)}}

    def apply(self, path: str, manager: str, body: Json) -> Json:
        assert manager == "ringfence-node"
        if self.unreachable:
            raise Unreachable
        self.calls.append(f"apply {path}")
        if path == NODE:
            kept = {k: v for k, v in self.labels.items() if "ringfence" not in k}
            self.labels = kept | body["metadata"]["labels"]
            return self._node()
        if path == SANDBOX_NODE:
            self.exists = True
        elif not self.exists:
            raise ApiError(404, "not found")
        self.status = body.get("status", self.status)
        return body


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 25, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class Case:
    """A publisher that has not spoken yet."""

    def __init__(self) -> None:
        self.client: Any = FakeClient()
        self.clock = Clock()
        self.publisher = Publisher("node-1", self.clock.now, self.clock.monotonic)

    def publish(self, state: NodeState = STATE) -> list[str]:
        """The calls that it took."""
        self.client.calls.clear()
        self.publisher.publish(self.client, state)
        return list(self.client.calls)


@pytest.fixture
def case() -> Case:
    return Case()


def test_first_time_labels_come_first_and_the_object_is_made(case: Case) -> None:
    assert case.publish() == [
        f"get {NODE}",
        f"apply {NODE}",
        f"apply {SANDBOX_NODE}/status",
        f"apply {SANDBOX_NODE}",
        f"apply {SANDBOX_NODE}/status",
    ]
    assert case.client.labels == {"kubernetes.io/os": "linux", LABEL: "installed"}
    assert case.client.status["seccompProfiles"] == [PROFILE]


def test_a_heartbeat_is_one_write(case: Case) -> None:
    case.publish()
    case.clock.seconds = 10
    assert case.publish() == [f"apply {SANDBOX_NODE}/status"]
    assert case.client.status["renewTime"] == "2026-11-25T00:00:10Z"


def test_lost_profile_loses_its_label_before_anything_else(case: Case) -> None:
    case.publish()
    lost = replace(STATE, seccomp_profiles=(), problems=("gone",))
    assert case.publish(lost)[0] == f"apply {NODE}"
    assert LABEL not in case.client.labels
    assert case.client.status["conditions"][0]["status"] == "False"


def test_labels_of_a_node_that_was_made_anew_come_back(case: Case) -> None:
    case.publish()
    case.client.labels = {}
    case.clock.seconds = 61
    case.publish()
    assert case.client.labels == {LABEL: "installed"}


def test_removed_object_is_made_again(case: Case) -> None:
    case.publish()
    case.client.exists = False
    assert f"apply {SANDBOX_NODE}" in case.publish()


def test_refusal_is_not_swallowed(case: Case) -> None:
    case.client.unreachable = True
    with pytest.raises(Unreachable):
        case.publish()
