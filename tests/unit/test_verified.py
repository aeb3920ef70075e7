"""What the node agents say decides whether a Sandbox starts, is Ready, and what it claims."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence import names, posture
from ringfence.api import Json
from ringfence.kinds import CHILDREN, NETWORK_POLICY, POD
from samples import SETTINGS, running, sandbox, sandbox_class, sandbox_node, verified, written
from world import World, ready

ARMOR = "sandbox-agent-1"
AUTO = sandbox_class(appArmor={"mode": "Auto", "profile": ARMOR})
LATER = timedelta(seconds=20)
WRONG = written(names.POSTURE_VERIFIED, "False", reason="Unfiltered", message="no seccomp filter")


def say(world: World, *conditions: Json) -> None:
    """The Pod runs, and this is what the node agent wrote."""
    pod = world.child(POD)
    pod["spec"]["nodeName"] = "node-1"
    pod["status"] = running(*conditions)


async def started(**kwargs: tuple[Json, ...]) -> World:
    world = World(sandbox(), **kwargs)
    await world.run()
    return world


_SAID = [(), (WRONG,), tuple(verified()), tuple(verified()[:-1])]
_NODES = [
    sandbox_node(),
    sandbox_node(seccomp=()),
    sandbox_node(app_armor=(ARMOR,)),
    None,
]
_MOVES = st.one_of(
    st.tuples(st.just("node"), st.sampled_from(_NODES)),
    st.tuples(st.just("said"), st.sampled_from(_SAID)),
    st.tuples(st.just("restart"), st.integers(0, 30)),
    st.tuples(st.just("lost"), st.none()),
)


@given(st.lists(_MOVES, max_size=8))
def test_after_any_history_a_second_look_writes_nothing(moves: list[tuple[str, Any]]) -> None:
    asyncio.run(_look_twice_after_each(moves))


async def _look_twice_after_each(moves: list[tuple[str, Any]]) -> None:
    world = World(sandbox(), classes=(AUTO,), nodes=())
    for what, value in moves:
        _make(world, what, value)
        await world.run()
        world.kube.writes.clear()
        await world.run()
        assert not world.kube.writes, moves
        _assert_no_more_claimed_than_found(world)


def _make(world: World, what: str, value: Any) -> None:
    if what == "node" and value:
        world.heartbeats.enter(value)
    elif what == "node":
        world.heartbeats.forget("node-1")
    elif what == "lost" and "node-1" in world.heartbeats.nodes:
        world.heartbeats.lose("node-1")
    elif what == "said" and world.exists(POD):
        say(world, *value)
    elif what == "restart" and world.exists(POD):
        conditions = world.child(POD).get("status", {}).get("conditions", [])[2:]
        say(world, *conditions)
        agent = world.child(POD)["status"]["containerStatuses"][0]
        agent["state"]["running"]["startedAt"] = f"2026-01-01T11:59:{30 + value:02}Z"


def _assert_no_more_claimed_than_found(world: World) -> None:
    """Layers that are read back are Enforced only while an agent lives that has found them so."""
    node = world.heartbeats.nodes.get("node-1")
    isolation = world.status.get("isolation", {})
    claimed = [n for n in posture.LAYER_CONDITIONS if isolation[n]["state"] == "Enforced"]
    if not claimed:
        return
    assert node is not None
    assert node.live
    found = posture.layers(world.child(POD), world.now)
    assert all(found[name].state == "Enforced" for name in claimed)


# --- before there is a Pod --------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [(), (sandbox_node(seccomp=()),)], ids=["none", "without it"])
async def test_no_pod_is_made_while_no_node_has_the_profiles(nodes: tuple[Json, ...]) -> None:
    world = await started(nodes=nodes)
    assert not any(world.exists(kind) for kind in CHILDREN)
    assert world.condition()["reason"] == "ProfilesNotInstalled"
    assert "kubectl get daemonsets" in world.condition()["message"]
    assert world.condition("ProfilesInstalled")["status"] == "False"
    assert [e["type"] for e in world.kube.events] == ["Warning"]
    world.kube.writes.clear()
    await world.run()
    assert not world.kube.writes


async def test_no_pod_is_made_while_the_agents_of_all_nodes_are_lost() -> None:
    world = World(sandbox())
    world.heartbeats.lose("node-1")
    await world.run()
    assert not world.exists(POD)
    assert world.condition()["reason"] == "ProfilesNotInstalled"


async def test_sandbox_starts_once_a_node_has_the_profiles() -> None:
    world = await started(nodes=())
    world.heartbeats.enter(sandbox_node())
    await world.run()
    world.run_pod()
    await world.run()
    assert world.condition()["reason"] == "PodReady"
    assert world.condition("ProfilesInstalled")["message"].startswith("node-1 has seccomp profile")


async def test_required_app_armor_waits_for_a_node_that_has_it() -> None:
    rules = sandbox_class(appArmor={"mode": "Required", "profile": ARMOR})
    world = await started(classes=(rules,))
    assert f"AppArmor profile {ARMOR}" in world.condition()["message"]
    world.heartbeats.enter(sandbox_node("node-2", app_armor=(ARMOR,)))
    await world.run()
    assert world.exists(POD)


@pytest.mark.parametrize("named", [None, "strict"])
async def test_app_armor_profile_is_the_class_s_or_else_the_installation_s_own(
    named: str | None,
) -> None:
    profile = named or SETTINGS.app_armor_profile
    rules = sandbox_class(appArmor={"mode": "Required", "profile": named})
    world = await started(classes=(rules,), nodes=(sandbox_node(app_armor=(profile,)),))
    context = world.child(POD)["spec"]["containers"][0]["securityContext"]
    assert context["appArmorProfile"] == {"type": "Localhost", "localhostProfile": profile}


# --- AppArmor where it is to be had -----------------------------------------------------------


def asks_for_app_armor(world: World) -> bool:
    return "appArmorProfile" in world.child(POD)["spec"]["containers"][0]["securityContext"]


@pytest.mark.parametrize("armor", [(), (ARMOR,)])
async def test_auto_asks_for_app_armor_where_the_nodes_have_it(armor: tuple[str, ...]) -> None:
    world = await started(classes=(AUTO,), nodes=(sandbox_node(app_armor=armor),))
    assert asks_for_app_armor(world) is bool(armor)
    terms = world.child(POD)["spec"]["affinity"]["nodeAffinity"]
    assert (names.app_armor_label(ARMOR) in str(terms)) is bool(armor)
    say(world, *verified())
    await world.run()
    state = world.status["isolation"]["appArmor"]["state"]
    assert state == ("Enforced" if armor else "NotAvailable")


@pytest.mark.parametrize("armor", [(), (ARMOR,)])
async def test_what_auto_meant_when_the_pod_was_made_stays(armor: tuple[str, ...]) -> None:
    other = () if armor else (ARMOR,)
    world = await ready(classes=(AUTO,), nodes=(sandbox_node(app_armor=armor),))
    world.heartbeats.enter(sandbox_node(app_armor=other))
    await world.run()
    assert asks_for_app_armor(world) is bool(armor)
    assert world.condition("UpToDate")["status"] == "True"
    assert world.condition()["reason"] == "PodReady"


async def test_app_armor_that_admission_takes_away_under_auto_is_noticed() -> None:
    world = await ready(classes=(AUTO,), nodes=(sandbox_node(app_armor=(ARMOR,)),))
    del world.child(POD)["spec"]["containers"][0]["securityContext"]["appArmorProfile"]
    await world.run()
    assert world.condition()["reason"] == "PodAltered"


async def test_nodes_that_lose_app_armor_do_not_cut_off_a_sandbox_whose_class_demands_it() -> None:
    rules = {**AUTO["spec"], "minimumIsolation": {"appArmor": "Enforced"}}
    world = await ready(
        classes=({**AUTO, "spec": rules},), nodes=(sandbox_node(app_armor=(ARMOR,)),)
    )
    world.heartbeats.enter(sandbox_node(app_armor=()))
    world.edit_spec(resources={"cpu": "500m"})
    await world.run()
    assert world.condition()["reason"] == "PodReady"
    assert world.condition("ProfilesInstalled")["reason"] == "ProfilesLost"


# --- a Pod that runs --------------------------------------------------------------------------


async def test_sandbox_is_not_ready_before_the_node_agent_has_looked() -> None:
    world = await started()
    say(world)
    assert await world.run() == 14
    assert world.condition()["reason"] == "Starting"
    say(world, *verified())
    assert await world.run() is None
    assert world.condition()["reason"] == "PodReady"


async def test_a_node_agent_that_lives_and_says_nothing_is_named_after_a_while() -> None:
    world = await started()
    say(world)
    world.now += LATER
    assert await world.run() is None
    assert world.condition()["reason"] == "PostureNotVerified"
    assert world.condition("LimitsEnforced")["status"] == "Unknown"
    assert world.status["isolation"]["seccomp"]["reason"] == "NotVerified"


async def test_a_restarted_agent_container_is_not_ready_by_what_was_found_before() -> None:
    world = await ready()
    world.child(POD)["status"] = running(*verified(), started="2026-01-01T12:00:05Z")
    await world.run()
    assert world.condition()["status"] == "False"


async def test_what_the_node_agent_finds_wrong_ends_readiness_and_closes_the_network() -> None:
    world = await ready()
    unfiltered = written(names.SECCOMP_CONDITION, "False", message="no seccomp filter")
    say(world, *(verified()[:2]), unfiltered, WRONG)
    await world.run()
    assert world.condition()["reason"] == "PostureNotVerified"
    assert "no seccomp filter" in world.condition()["message"]
    assert world.status["isolation"]["seccomp"]["state"] == "Degraded"
    assert world.child(NETWORK_POLICY)["spec"]["egress"] == []
    assert world.exists(POD)
    world.kube.writes.clear()
    await world.run()
    assert not world.kube.writes


async def test_network_opens_again_when_all_is_well_and_nothing_is_called_drift() -> None:
    world = await ready()
    say(world, WRONG)
    await world.run()
    say(world, *verified())
    await world.run()
    assert world.child(NETWORK_POLICY)["spec"]["egress"] != []
    assert world.condition()["reason"] == "PodReady"
    assert "DriftRepaired" not in {e["reason"] for e in world.kube.events}


async def test_layer_found_below_the_minimum_of_the_class_ends_readiness() -> None:
    rules = sandbox_class(minimumIsolation={"namespaces": "Enforced"})
    world = await started(classes=(rules,))
    say(world, *verified()[2:], written(names.NAMESPACES_CONDITION, "False", message="shared"))
    await world.run()
    assert world.condition()["reason"] == "IsolationBelowMinimum"
    assert "namespaces is Degraded (shared)" in world.condition()["message"]
    assert world.child(NETWORK_POLICY)["spec"]["egress"] == []


@pytest.mark.parametrize("status", ["True", "False"])
async def test_limits_condition_is_what_the_node_agent_read(status: str) -> None:
    world = await started()
    say(world, *verified()[:-2], verified()[-1], written(names.RESOURCES_CONDITION, status))
    await world.run()
    assert world.condition("LimitsEnforced")["status"] == status
    assert world.condition("LimitsEnforced")["message"] == "pids 256 (container)"


async def test_network_is_fenced_only_when_it_was_proven_before_the_agent_started() -> None:
    world = await ready()
    assert world.condition("NetworkFenced")["status"] == "True"
    assert "proven from the agent's uid" in world.condition("NetworkFenced")["message"]
    world.child(POD)["status"]["initContainerStatuses"] = []
    await world.run()
    assert world.condition("NetworkFenced")["reason"] == "NetworkNotFenced"


async def test_packet_filter_that_is_not_in_place_ends_readiness_and_closes_the_network() -> None:
    world = await started()
    lost = written(names.NETWORK_CONDITION, "False", reason="NotFenced", message="no filter")
    wrong = written(names.POSTURE_VERIFIED, "False", reason="NotFenced", message="no filter")
    say(world, *verified()[:-3], lost, verified()[-2], wrong)
    await world.run()
    assert world.condition()["reason"] == "PostureNotVerified"
    assert world.condition("NetworkFenced")["status"] == "False"
    assert world.status["isolation"]["network"]["state"] == "Degraded"
    assert world.child(NETWORK_POLICY)["spec"]["egress"] == []


async def test_guard_that_gave_up_is_told_in_its_own_words() -> None:
    world = await started()
    message = "NetworkNotFenced: UDP 192.0.2.1:443: open"
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    last = {"terminated": {"exitCode": 1, "message": message}}
    guard = {"name": "guard", "state": state, "lastState": last}
    scheduled = {"type": "PodScheduled", "status": "True"}
    status = {"phase": "Pending", "initContainerStatuses": [guard], "conditions": [scheduled]}
    world.child(POD)["spec"]["nodeName"] = "node-1"
    world.child(POD)["status"] = status
    await world.run()
    for type_ in ("Ready", "NetworkFenced"):
        assert world.condition(type_)["reason"] == "NetworkNotFenced"
        assert "UDP 192.0.2.1:443: open" in world.condition(type_)["message"]


def foreign_policy(**spec: Any) -> Json:
    return {
        "metadata": {"namespace": "agents", "name": "wide"},
        "spec": {"podSelector": {}, "egress": [{}]} | spec,
    }


async def test_foreign_policy_that_widens_the_fence_is_named() -> None:
    world = await ready()
    world.policies.enter(foreign_policy())
    await world.run()
    assert world.condition("NetworkFenced")["reason"] == "PolicyWidened"
    assert "NetworkPolicy wide " in world.condition("NetworkFenced")["message"]
    assert world.status["isolation"]["network"]["reason"] == "PolicyWidened"
    assert world.condition()["status"] == "True"
    world.policies.forget(foreign_policy())
    await world.run()
    assert world.condition("NetworkFenced")["status"] == "True"


async def test_widened_fence_ends_readiness_where_the_class_demands_a_network_layer() -> None:
    world = await ready(classes=(sandbox_class(minimumIsolation={"network": "Enforced"}),))
    world.policies.enter(foreign_policy())
    await world.run()
    assert world.condition()["reason"] == "IsolationBelowMinimum"
    assert "NetworkPolicy wide " in world.condition()["message"]


async def test_a_finding_never_raises_a_layer_above_what_the_class_promises() -> None:
    world = await ready(classes=(sandbox_class(userNamespaces="Disabled"),))
    assert world.status["isolation"]["namespaces"]["state"] == "Degraded"


# --- a node that changes ----------------------------------------------------------------------


async def test_lost_node_agent_degrades_what_it_read_back_and_leaves_the_sandbox_ready() -> None:
    world = await ready()
    world.heartbeats.lose("node-1")
    await world.run()
    assert world.condition()["status"] == "True"
    assert world.condition("ProfilesInstalled")["status"] == "Unknown"
    assert world.condition("LimitsEnforced")["reason"] == "NodeAgentLost"
    assert world.condition("NetworkFenced")["reason"] == "NodeAgentLost"
    for layer in ("process", "namespaces", "seccomp", "resources", "network"):
        assert world.status["isolation"][layer]["reason"] == "NodeAgentLost"
        assert world.status["isolation"][layer]["state"] == "Degraded"
    assert world.kube.writes["delete"] == 0


async def test_node_agent_that_comes_back_restores_the_layers() -> None:
    world = await ready()
    before = world.status
    world.heartbeats.lose("node-1")
    await world.run()
    world.heartbeats.enter(sandbox_node(renewed="2026-01-01T13:00:00Z"))
    await world.run()
    assert world.status["isolation"] == before["isolation"]
    assert world.condition("ProfilesInstalled")["status"] == "True"


async def test_node_that_loses_a_profile_is_named() -> None:
    world = await ready()
    world.heartbeats.enter(sandbox_node(seccomp=()))
    await world.run()
    assert world.condition("ProfilesInstalled")["reason"] == "ProfilesLost"
    assert world.condition("ProfilesInstalled")["message"].startswith("node-1 does not have")
    assert world.condition()["status"] == "True"


async def test_pod_that_starts_on_a_node_whose_agent_is_lost_says_what_it_waits_for() -> None:
    world = await started()
    world.child(POD)["spec"]["nodeName"] = "node-1"
    world.heartbeats.lose("node-1")
    await world.run()
    assert world.condition()["reason"] == "NodeAgentNotReady"
    assert "kubectl get sandboxnodes" in world.condition()["message"]


async def test_heartbeats_cause_no_write() -> None:
    world = await ready()
    world.kube.writes.clear()
    for second in range(30):
        changed = world.heartbeats.enter(sandbox_node(renewed=f"2026-01-01T12:01:{second:02}Z"))
        assert not changed
        await world.run()
    assert not world.kube.writes


async def test_finished_sandbox_does_not_follow_the_nodes() -> None:
    world = await ready()
    world.child(POD)["status"] = {"phase": "Succeeded"}
    await world.run()
    world.kube.writes.clear()
    world.heartbeats.lose("node-1")
    await world.run()
    assert not world.kube.writes


# --- another runtime --------------------------------------------------------------------------


async def test_under_another_runtime_nothing_of_the_node_is_believed_or_claimed() -> None:
    world = await started(classes=(sandbox_class(runtimeClassName="gvisor"),))
    say(world, WRONG)
    await world.run()
    assert world.condition()["reason"] == "PodReady"
    assert world.condition("LimitsEnforced")["status"] == "Unknown"
    for layer in ("process", "namespaces", "seccomp", "resources"):
        assert world.status["isolation"][layer]["state"] == "Degraded"
    assert world.status["isolation"]["seccomp"]["reason"] == "OtherRuntime"


async def test_class_can_demand_what_only_the_nodes_own_kernel_shows() -> None:
    rules = sandbox_class(runtimeClassName="gvisor", minimumIsolation={"seccomp": "Enforced"})
    world = await started(classes=(rules,))
    assert world.condition()["reason"] == "IsolationBelowMinimum"
