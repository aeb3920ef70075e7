"""What a Pod is meant to be comes from its immutable spec alone."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_samples import AGENT_UID, APP_ARMOR, GIB, PROFILE, STARTED, app_armor_pod, pod, pod_body
from ringfence.node.pods import IoLimits, Limits, profiles_in_use, sandbox_pod


def test_expectations_are_read_from_the_spec() -> None:
    found = pod()
    assert found.limits == Limits(pids=256, disk_bytes=5 * GIB)
    assert (found.agent_uid, found.user_namespace) == (AGENT_UID, True)
    assert (found.seccomp_profile, found.app_armor_profile) == (PROFILE, None)
    assert app_armor_pod().app_armor_profile == APP_ARMOR
    assert found.agent_started == STARTED


def test_io_limits_are_each_optional() -> None:
    limits = {"pids": 64, "diskBytes": 1, "io": {"writeBytesPerSecond": 1000}}
    found = pod(limits).limits
    assert found is not None
    assert found.io == IoLimits(write_bytes=1000)


@pytest.mark.parametrize(
    "limits",
    [
        "",
        "[]",
        "null",
        "{",
        {},
        {"pids": 0, "diskBytes": 1},
        {"pids": -1, "diskBytes": 1},
        {"pids": True, "diskBytes": 1},
        {"pids": "256", "diskBytes": 1},
        {"pids": 256},
        {"pids": 256, "diskBytes": 1, "io": {"readBytesPerSecond": "max"}},
        {"pids": 256, "diskBytes": 1, "io": 7},
    ],
)
def test_limits_that_cannot_be_read_are_no_limits(limits: Any) -> None:
    assert pod(limits).limits is None


@given(text=st.text() | st.from_type(dict).map(json.dumps) | st.integers().map(str))
def test_no_text_in_the_variable_stops_the_agent(text: str) -> None:
    pod(text)


def test_limits_in_the_agents_own_environment_do_not_count() -> None:
    body = pod_body("")
    body["spec"]["containers"][0]["env"] = [
        {"name": "RINGFENCE_LIMITS", "value": '{"pids": 30000, "diskBytes": 1}'}
    ]
    assert sandbox_pod(body).limits is None


def test_behind_a_gateway_the_guard_carries_the_limits() -> None:
    body = pod_body()
    body["spec"]["initContainers"][0]["name"] = "guard"
    assert sandbox_pod(body).limits == pod().limits


def test_annotations_and_labels_change_nothing() -> None:
    body = pod_body()
    before = sandbox_pod(body)
    body["metadata"]["annotations"] = {"RINGFENCE_LIMITS": '{"pids": 30000, "diskBytes": 1}'}
    assert sandbox_pod(body) == before


def test_pod_that_is_only_bound_has_no_agent_yet() -> None:
    body = pod_body()
    del body["status"]
    found = sandbox_pod(body)
    assert (found.agent_started, found.ended) == (None, False)


def test_conditions_of_others_are_not_ours() -> None:
    body = pod_body()
    body["status"]["conditions"].append({"type": "ringfence.dev/Process", "status": "True"})
    assert list(sandbox_pod(body).conditions) == ["ringfence.dev/Process"]


def test_profile_of_an_ended_pod_is_in_use_no_more() -> None:
    body = pod_body()
    assert profiles_in_use([sandbox_pod(body)]) == {PROFILE}
    body["status"]["phase"] = "Succeeded"
    assert profiles_in_use([sandbox_pod(body)]) == set()
