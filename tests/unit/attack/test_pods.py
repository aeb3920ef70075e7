"""Limits come from what cannot change; what a Pod does not promise is the product's default."""

import json

import pytest

from attack.fakes import pod
from attack.reports import LIMITS
from ringfence import names
from ringfence.api import Json
from ringfence.attack import pods
from ringfence.resources import workspace
from samples import accepted, sandbox


def with_variable(value: str) -> Json:
    body = pod("agents", "a")
    body["spec"]["initContainers"][0]["env"] = [{"name": names.LIMITS_VARIABLE, "value": value}]
    return body


def test_limits_are_those_that_the_node_enforces() -> None:
    text = json.dumps({"pids": 64, "diskBytes": 1 << 30})
    found = pods.limits_of(with_variable(text), "agent")
    assert found == (64, 2 << 30, 1 << 30)


@pytest.mark.parametrize("value", ["", "{}", "[]", "nonsense", "null"])
def test_limits_that_do_not_read_count_as_none(value: str) -> None:
    assert pods.limits_of(with_variable(value), "agent") == LIMITS


def test_disk_limit_is_the_size_of_the_volume_and_not_what_is_left_for_logs() -> None:
    body = pod("agents", "a")
    body["spec"]["containers"][0]["resources"]["limits"]["ephemeral-storage"] = "256Mi"
    body["spec"]["volumes"] = workspace.volumes(accepted(sandbox(resources={"disk": "1Gi"})))
    assert pods.limits_of(body, "agent").disk == 1 << 30


def test_pod_without_any_limit_is_held_against_the_products_own() -> None:
    bare = {"spec": {"containers": [{"name": "main"}]}}
    assert pods.limits_of(bare, "main") == LIMITS


@pytest.mark.parametrize("memory", ["1e9", "-5", "much"])
def test_quantities_that_sandboxes_may_not_use_count_as_none(memory: str) -> None:
    body = {"spec": {"containers": [{"name": "a", "resources": {"limits": {"memory": memory}}}]}}
    assert pods.limits_of(body, "a").memory == LIMITS.memory


def test_container_that_never_started_does_not_run() -> None:
    assert not pods.is_running({"status": {}}, "agent")
    assert not pods.is_running(None, "agent")
    assert not pods.out_of_memory(None, "agent")
