"""What the status of a Sandbox says about its AWS identity, from its start to its loss."""

import pytest

from ringfence.api import Json
from ringfence.kinds import CONFIG_MAP, NETWORK_POLICY, POD, SANDBOX_CLASS
from samples import ROLE, sandbox, sandbox_class
from world import World

CLASS = sandbox_class(identity={"roleArns": [ROLE]})
DENIED = "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"
RUNS = {"started": True, "state": {"running": {"startedAt": "2026-01-01T11:59:58Z"}}}
REFUSED = {"started": False, "state": {"terminated": {"exitCode": 1, "message": DENIED}}}


def _world() -> World:
    return World(sandbox(identity={"roleArn": ROLE}), classes=(CLASS,))


def _say(world: World, status: Json, phase: str = "Running") -> None:
    """The Pod as the kubelet describes it."""
    world.run_pod()
    pod = world.child(POD)
    pod["status"]["phase"] = phase
    pod["status"]["initContainerStatuses"] = [{"name": "aws-credentials", **status}]
    if status is REFUSED:
        pod["status"]["conditions"][1]["status"] = "False"


async def test_sandbox_with_credentials_is_ready_and_says_so() -> None:
    world = _world()
    await world.run()
    _say(world, RUNS)
    await world.run()
    assert world.condition()["reason"] == "PodReady"
    identity = world.condition("IdentityReady")
    assert (identity["status"], identity["reason"]) == ("True", "CredentialsIssued")


async def test_identity_costs_no_write_more() -> None:
    plain, with_identity = World(sandbox()), _world()
    await plain.run()
    plain.run_pod()
    await plain.run()
    await with_identity.run()
    _say(with_identity, RUNS)
    await with_identity.run()
    assert len(with_identity.kube.writes) == len(plain.kube.writes)
    with_identity.kube.writes.clear()
    await with_identity.run()
    assert not with_identity.kube.writes


@pytest.mark.parametrize("phase", ["Pending", "Running"])
async def test_refusal_of_aws_is_the_message_of_both_conditions(phase: str) -> None:
    world = _world()
    await world.run()
    _say(world, REFUSED, phase)
    await world.run()
    for type_ in ("Ready", "IdentityReady"):
        found = world.condition(type_)
        assert (found["status"], found["reason"]) == ("False", "IdentityNotReady")
        assert DENIED in found["message"]


async def test_lost_identity_leaves_the_layers_of_the_running_agent_as_they_are() -> None:
    world = _world()
    await world.run()
    _say(world, RUNS)
    await world.run()
    before = world.status["isolation"]
    _say(world, REFUSED)
    await world.run()
    assert world.status["isolation"] == before
    assert world.status["phase"] == "Running"


async def test_sandbox_without_an_identity_has_no_such_condition() -> None:
    world = World(sandbox())
    await world.run()
    world.run_pod()
    await world.run()
    assert "IdentityReady" not in {c["type"] for c in world.status["conditions"]}


async def test_role_that_the_class_no_longer_permits_closes_the_network() -> None:
    world = _world()
    await world.run()
    _say(world, RUNS)
    await world.run()
    world.kube.put(SANDBOX_CLASS, sandbox_class())
    world.reconcile.classes_changed()
    await world.run()
    assert world.condition()["reason"] == "ClassCeilingExceeded"
    assert world.child(NETWORK_POLICY)["spec"]["egress"] == []


async def test_fewer_models_of_the_class_change_the_proxys_rules_of_a_running_sandbox() -> None:
    world = _world()
    await world.run()
    _say(world, RUNS)
    await world.run()
    one = "arn:aws:bedrock:*::foundation-model/anthropic.claude-x"
    fewer = sandbox_class(identity={"roleArns": [ROLE], "modelArns": [one]})
    world.kube.put(SANDBOX_CLASS, fewer)
    world.reconcile.classes_changed()
    await world.run()
    assert "claude" in world.child(CONFIG_MAP)["data"]["lds.yaml"]
