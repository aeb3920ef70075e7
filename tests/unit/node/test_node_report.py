"""What is written, and that nothing is written when nothing differs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from node_samples import NODE, POD_UID, PROFILE, STARTED, facts, pod, status
from ringfence import names
from ringfence.node import posture, report
from ringfence.node.pods import Json, SandboxPod
from ringfence.node.report import NodeState

NOW = datetime(2026, 11, 25, 2, 46, 40, tzinfo=UTC)
STATE = NodeState("0.1.0", 2, (PROFILE,), True, ("sandbox-agent-0a1b2c3d",), ())  # noqa: FBT003
FOUND = posture.findings(pod(), facts(), NODE)


def _patched(before: SandboxPod, patch: Json | None) -> SandboxPod:
    assert patch is not None
    return replace(before, conditions={c["type"]: c for c in patch["status"]["conditions"]})


def test_first_report_holds_every_condition_and_the_uid() -> None:
    patch = report.pod_patch(pod(), FOUND, NOW)
    assert patch is not None
    assert patch["metadata"] == {"uid": POD_UID}
    conditions = patch["status"]["conditions"]
    assert [c["type"] for c in conditions] == [f.layer for f in FOUND]
    assert {c["lastProbeTime"] for c in conditions} == {"2026-11-25T02:46:40Z"}


def test_nothing_is_written_again_while_nothing_changes() -> None:
    told = _patched(pod(), report.pod_patch(pod(), FOUND, NOW))
    assert report.pod_patch(told, FOUND, NOW + timedelta(hours=1)) is None


def test_a_change_is_written_with_the_time_of_the_change() -> None:
    told = _patched(pod(), report.pod_patch(pod(), FOUND, NOW))
    worse = posture.findings(pod(), facts(status=status(nnp=0)), NODE)
    patch = report.pod_patch(told, worse, NOW + timedelta(minutes=1))
    changed = _patched(told, patch).conditions
    assert changed[names.PROCESS_CONDITION]["lastTransitionTime"] == "2026-11-25T02:47:40Z"
    assert changed[names.SECCOMP_CONDITION]["lastTransitionTime"] == "2026-11-25T02:46:40Z"


def test_same_words_are_written_again_for_an_agent_that_started_later() -> None:
    told = _patched(pod(), report.pod_patch(pod(), FOUND, NOW))
    restarted = replace(told, agent_started="2026-11-25T02:50:00Z")
    patch = report.pod_patch(restarted, FOUND, NOW + timedelta(minutes=5))
    assert patch is not None
    fresh = _patched(restarted, patch)
    assert report.pod_patch(fresh, FOUND, NOW + timedelta(minutes=6)) is None


def test_report_of_the_second_in_which_the_agent_started_counts() -> None:
    at_start = datetime.fromisoformat(STARTED)
    told = _patched(pod(), report.pod_patch(pod(), FOUND, at_start))
    assert report.pod_patch(told, FOUND, at_start) is None


def test_condition_that_somebody_removed_comes_back() -> None:
    told = _patched(pod(), report.pod_patch(pod(), FOUND, NOW))
    fewer = {k: v for k, v in told.conditions.items() if k != names.SECCOMP_CONDITION}
    assert report.pod_patch(replace(told, conditions=fewer), FOUND, NOW) is not None


def test_labels_say_exactly_what_is_in_place() -> None:
    assert report.node_labels(STATE) == {
        "seccomp.ringfence.dev/sandbox-agent-a801bcd8": "installed",
        "apparmor.ringfence.dev/sandbox-agent-0a1b2c3d": "enforced",
    }
    lost = replace(STATE, seccomp_profiles=(), app_armor_profiles=())
    assert report.node_labels(lost) == {}


def test_labels_of_others_are_not_ours() -> None:
    labels = {"kubernetes.io/os": "linux", "seccomp.ringfence.dev/x": "installed"}
    assert report.own_labels(labels) == {"seccomp.ringfence.dev/x": "installed"}


def test_status_of_the_node_follows_the_model_of_its_kind() -> None:
    from ringfence.sandbox_node import SandboxNodeStatus  # noqa: PLC0415 - needs pydantic

    body = report.sandbox_node_status("node-1", STATE, {}, NOW)
    SandboxNodeStatus.model_validate(body["status"])
    assert body["status"]["renewTime"] == "2026-11-25T02:46:40Z"
    (condition,) = body["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("ProfilesInstalled", "True")


def test_lost_profile_shows_in_the_condition_with_its_time() -> None:
    (before,) = report.sandbox_node_status("n", STATE, {}, NOW)["status"]["conditions"]
    lost = replace(STATE, seccomp_profiles=(), problems=("x.json: missing",))
    later = NOW + timedelta(seconds=10)
    (after,) = report.sandbox_node_status("n", lost, before, later)["status"]["conditions"]
    assert (after["status"], after["message"]) == ("False", "x.json: missing")
    assert after["lastTransitionTime"] == "2026-11-25T02:46:50Z"
    (still,) = report.sandbox_node_status("n", lost, after, NOW + timedelta(1))["status"][
        "conditions"
    ]
    assert still["lastTransitionTime"] == after["lastTransitionTime"]


def test_sandbox_node_goes_away_with_its_node() -> None:
    node = {"metadata": {"name": "node-1", "uid": "u", "labels": {}}}
    (owner,) = report.sandbox_node(node)["metadata"]["ownerReferences"]
    assert owner == {"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "u"}
