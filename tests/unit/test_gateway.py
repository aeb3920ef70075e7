"""Gateway mode: the proxy in a Pod of its own, from the first write to the last."""

import asyncio
import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.api import Json
from ringfence.handlers import is_own_policy
from ringfence.kinds import (
    CHILDREN,
    CONFIG_MAP,
    GATEWAY_CHILDREN,
    NETWORK_POLICY,
    POD,
    SANDBOX_CLASS,
    SERVICE,
    ApiError,
    Kind,
)
from samples import running, sandbox, sandbox_class, verified
from world import GATEWAY, KEY, World

BEHIND = sandbox_class(egress={"mode": "Gateway"})
SIDECAR = sandbox_class()


async def started(body: Json | None = None, *classes: Json) -> World:
    """The gateway serves and the agent's Pod was made."""
    world = World(body or sandbox(), classes=classes or (BEHIND,))
    await world.run()
    world.run_gateway()
    await world.run()
    return world


async def ready_in_steps() -> World:
    """As a real cluster does it: an event for each step of scheduler and kubelet."""
    world = World(sandbox(), classes=(BEHIND,))
    await world.run()
    world.gateway_child(POD)["status"] = {"phase": "Pending"}
    await world.run()
    world.run_gateway()
    await world.run()
    pod = world.child(POD)
    scheduled = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]}
    guarding = {"name": "guard", "ready": False, "state": {"running": {}}}
    steps = [
        scheduled,
        scheduled | {"initContainerStatuses": [guarding]},
        scheduled | {"initContainerStatuses": running()["initContainerStatuses"]},
        running(),
    ]
    for status in steps:
        pod["spec"]["nodeName"] = "node-1"
        pod["status"] = status
        await world.run()
    world.run_pod()
    await world.run()
    return world


async def ready(body: Json | None = None, *classes: Json) -> World:
    world = await started(body, *classes)
    world.run_pod()
    await world.run()
    return world


def say_class(world: World, rules: Json) -> None:
    world.kube.put(SANDBOX_CLASS, rules)
    world.reconcile.classes_changed()


def reachable(policy: Json) -> list[Json]:
    """Whom the egress rules of a policy let reach."""
    return [peer for rule in policy["spec"]["egress"] for peer in rule["to"]]


# --- start ------------------------------------------------------------------------------------


async def test_everything_of_the_gateway_is_there_before_its_pod_and_that_before_the_agents() -> (
    None
):
    world = await started()
    log = world.kube.log
    gateway, agent = (i for i, entry in enumerate(log) if entry == "apply Pod")
    before = log[:gateway]
    assert before.count("apply NetworkPolicy") == 2
    assert {"apply ServiceAccount", "apply ConfigMap", "apply Service"} <= set(before)
    assert before[0] == "status Sandbox"
    assert "apply NetworkPolicy" in log[gateway:agent]


async def test_agent_is_not_made_before_its_gateway_serves() -> None:
    world = World(sandbox(), classes=(BEHIND,))
    await world.run()
    assert world.has_gateway()
    assert not world.exists(POD)
    assert world.status["gatewayPodName"] == GATEWAY
    world.kube.writes.clear()
    world.gateway_child(POD)["status"] = {"phase": "Pending"}
    await world.run()
    assert not world.kube.writes
    world.run_gateway()
    await world.run()
    assert world.exists(POD)


async def test_what_keeps_the_gateway_from_serving_is_said_of_the_sandbox() -> None:
    world = World(sandbox(), classes=(BEHIND,))
    await world.run()
    waiting = {"waiting": {"reason": "ImagePullBackOff"}}
    statuses = [{"name": "egress-proxy", "state": waiting}]
    world.gateway_child(POD)["status"] = {"phase": "Pending", "containerStatuses": statuses}
    await world.run()
    assert world.condition()["reason"] == "ImagePullFailed"
    assert world.condition()["message"].startswith("egress gateway: image 'ringfence.dev/proxy")


async def test_sandbox_becomes_ready_with_its_network_enforced() -> None:
    world = await ready()
    assert world.condition()["reason"] == "PodReady"
    assert world.condition("NetworkFenced")["status"] == "True"
    assert world.status["isolation"]["network"]["state"] == "Enforced"
    assert world.status["isolation"]["network"]["reason"] == "GatewayFenced"


async def test_create_stays_within_the_write_budget_of_gateway_mode() -> None:
    world = await ready_in_steps()
    assert world.condition()["reason"] == "PodReady"
    assert world.kube.writes["apply"] == 9
    assert world.kube.writes["status"] <= 3
    assert world.kube.writes["event"] <= 3
    assert world.kube.writes["delete"] == 0


async def test_steady_state_and_restart_write_nothing() -> None:
    world = await ready()
    world.kube.writes.clear()
    world.now += timedelta(hours=1)
    await world.run()
    world.restart()
    await world.run()
    assert not world.kube.writes


async def test_agent_looks_for_its_proxy_at_the_address_of_the_service() -> None:
    world = await started()
    address = world.gateway_child(SERVICE)["spec"]["clusterIP"]
    pod = world.child(POD)["spec"]
    environment = {v["name"]: v["value"] for v in pod["containers"][0]["env"]}
    assert environment["HTTPS_PROXY"] == f"http://{address}:3128"
    assert address in pod["initContainers"][0]["command"]


@pytest.mark.parametrize("runtime", [{}, {"runtimeClassName": "gvisor"}])
async def test_class_that_demands_an_enforced_network_gets_it_under_every_runtime(
    runtime: Json,
) -> None:
    demand = {"minimumIsolation": {"network": "Enforced"}, **runtime}
    world = await ready(None, sandbox_class(egress={"mode": "Gateway"}, **demand))
    assert world.condition()["reason"] == "PodReady"
    assert world.condition("NetworkFenced")["status"] == "True"
    assert world.status["isolation"]["network"]["state"] == "Enforced"


async def test_lost_node_agent_says_nothing_about_this_fence() -> None:
    world = await ready()
    world.heartbeats.lose("node-1")
    await world.run()
    assert world.status["isolation"]["network"]["state"] == "Enforced"
    assert world.status["isolation"]["seccomp"]["reason"] == "NodeAgentLost"
    assert world.condition("NetworkFenced")["status"] == "True"


@pytest.mark.parametrize("label", ["ringfence.dev/sandbox-uid", "ringfence.dev/gateway-uid"])
async def test_foreign_policy_that_opens_one_of_the_two_pods_is_named(label: str) -> None:
    world = await ready()
    selector = {"matchExpressions": [{"key": label, "operator": "Exists"}]}
    spec = {"podSelector": selector, "ingress": [{}]}
    world.policies.enter({"metadata": {"namespace": "agents", "name": "open"}, "spec": spec})
    await world.run()
    assert world.condition("NetworkFenced")["reason"] == "PolicyWidened"
    assert "NetworkPolicy open selects" in world.condition("NetworkFenced")["message"]
    assert world.status["isolation"]["network"]["state"] == "Degraded"


async def test_both_policies_of_a_sandbox_are_its_own() -> None:
    world = await ready()
    for policy in (world.child(NETWORK_POLICY), world.gateway_child(NETWORK_POLICY)):
        assert is_own_policy(policy)


# --- the fence --------------------------------------------------------------------------------


async def test_agent_reaches_its_gateway_alone_and_only_the_agent_reaches_that() -> None:
    world = await started()
    agent, gateway = world.child(NETWORK_POLICY), world.gateway_child(NETWORK_POLICY)
    uid = "uid-of-demo"
    (peer,) = reachable(agent)
    assert peer == {"podSelector": {"matchLabels": {"ringfence.dev/gateway-uid": uid}}}
    assert agent["spec"]["ingress"] == []
    port = [{"protocol": "TCP", "port": 3128}]
    assert agent["spec"]["egress"][0]["ports"] == port
    (rule,) = gateway["spec"]["ingress"]
    (source,) = rule["from"]
    assert source == {"podSelector": {"matchLabels": {"ringfence.dev/sandbox-uid": uid}}}
    assert rule["ports"] == port


async def test_each_pod_is_selected_by_its_own_policy_and_by_no_other() -> None:
    world = await started()
    pods = [world.child(POD), world.gateway_child(POD)]
    policies = [world.child(NETWORK_POLICY), world.gateway_child(NETWORK_POLICY)]
    hits = [
        [
            p["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
            for p in policies
        ]
        for pod in pods
    ]
    assert hits == [[True, False], [False, True]]


async def test_each_fence_outlives_the_sandbox_until_its_own_pod_is_gone() -> None:
    world = await ready()
    fences = [(world.child, POD), (world.gateway_child, POD)]
    for child, kind in fences:
        owners = child(NETWORK_POLICY)["metadata"]["ownerReferences"]
        assert [o["kind"] for o in owners] == ["Sandbox", "Pod"]
        assert owners[1]["uid"] == child(kind)["metadata"]["uid"]
        assert owners[1]["name"] == child(kind)["metadata"]["name"]


async def test_empty_allowlist_leaves_the_way_to_the_gateway_which_then_goes_nowhere() -> None:
    world = await ready(sandbox(egress={"allow": []}))
    assert len(reachable(world.child(NETWORK_POLICY))) == 1
    assert world.gateway_child(NETWORK_POLICY)["spec"]["egress"] == []


async def test_what_the_node_agent_finds_wrong_closes_the_way_to_the_gateway() -> None:
    world = await ready()
    wrong = [
        c | {"status": "False"} if c["type"] == "ringfence.dev/PostureVerified" else c
        for c in verified()
    ]
    world.child(POD)["status"] = running(*wrong)
    await world.run()
    assert world.condition()["reason"] == "PostureNotVerified"
    assert world.child(NETWORK_POLICY)["spec"]["egress"] == []
    assert world.gateway_child(NETWORK_POLICY)["spec"]["egress"] == []


async def test_running_sandbox_loses_both_ways_out_when_its_class_is_gone() -> None:
    world = await ready()
    del world.kube.objects[SANDBOX_CLASS, "", "standard"]
    world.reconcile.classes_changed()
    await world.run()
    assert world.condition()["reason"] == "ClassNotFound"
    assert world.status["gatewayPodName"] == GATEWAY
    assert world.child(NETWORK_POLICY)["spec"]["egress"] == []
    assert world.gateway_child(NETWORK_POLICY)["spec"]["egress"] == []
    world.kube.writes.clear()
    await world.run()
    assert not world.kube.writes


async def test_guard_that_finds_the_network_open_is_told_with_its_own_words() -> None:
    world = await started()
    words = "NetworkNotFenced: the Pod reaches the API server (10.96.0.1:443), which it may not"
    last = {"terminated": {"exitCode": 1, "message": f"{words}\n"}}
    guard = {"name": "guard", "ready": False, "state": {"waiting": {}}, "lastState": last}
    pod = world.child(POD)
    pod["spec"]["nodeName"] = "node-1"
    pod["status"] = {"phase": "Pending", "initContainerStatuses": [guard]}
    await world.run()
    for type_ in ("Ready", "NetworkFenced"):
        assert world.condition(type_)["status"] == "False"
        assert world.condition(type_)["reason"] == "NetworkNotFenced"
        assert "the API server (10.96.0.1:443)" in world.condition(type_)["message"]


# --- drift ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [NETWORK_POLICY, SERVICE])
async def test_deleted_part_of_the_gateway_is_made_again_and_reported(kind: Kind) -> None:
    world = await ready()
    before = copy.deepcopy(world.gateway_child(kind)["spec"])
    del world.kube.objects[kind, KEY.namespace, GATEWAY]
    await world.run()
    assert world.gateway_child(kind)["spec"] == before
    assert f"{kind.kind}: was missing" in world.kube.events[-1]["note"]


@pytest.mark.parametrize("rules", [BEHIND, SIDECAR], ids=["same class", "class turned away"])
async def test_service_that_is_made_again_gets_the_address_that_the_agent_knows(
    rules: Json,
) -> None:
    world = await ready()
    address = world.gateway_child(SERVICE)["spec"]["clusterIP"]
    del world.kube.objects[SERVICE, KEY.namespace, GATEWAY]
    say_class(world, rules)
    world.restart()
    await world.run()
    assert world.gateway_child(SERVICE)["spec"]["clusterIP"] == address
    assert world.condition("UpToDate")["status"] == ("True" if rules is BEHIND else "False")
    assert world.condition()["reason"] == "PodReady"


async def test_agent_that_knows_its_gateway_by_an_old_address_is_told_apart() -> None:
    world = await ready()
    world.gateway_child(SERVICE)["spec"] |= {"clusterIP": "10.96.9.9", "clusterIPs": ["10.96.9.9"]}
    await world.run()
    assert world.condition()["reason"] == "GatewayNotReady"
    assert "kubectl delete pod demo" in world.condition()["message"]


def _other_selector(spec: Json) -> None:
    spec["selector"] = {"app": "evil"}


def _external_address(spec: Json) -> None:
    spec["externalIPs"] = ["203.0.113.10"]


def _node_port(spec: Json) -> None:
    spec["type"] = "NodePort"


@pytest.mark.parametrize("tamper", [_other_selector, _external_address, _node_port])
async def test_altered_service_is_put_right(tamper: Callable[[Json], None]) -> None:
    world = await ready()
    before = copy.deepcopy(world.gateway_child(SERVICE)["spec"])
    tamper(world.gateway_child(SERVICE)["spec"])
    await world.run()
    assert world.gateway_child(SERVICE)["spec"] == before


async def test_widened_policy_of_the_gateway_is_narrowed_again() -> None:
    world = await ready()
    world.gateway_child(NETWORK_POLICY)["spec"]["ingress"] = [{}]
    await world.run()
    (rule,) = world.gateway_child(NETWORK_POLICY)["spec"]["ingress"]
    assert rule["from"]


def _edit_image(pod: Json) -> None:
    pod["spec"]["containers"][0]["image"] = "evil:1"


def _add_container(pod: Json) -> None:
    pod["spec"]["containers"].append({"name": "extra", "image": "evil:1"})


def _host_network(pod: Json) -> None:
    pod["spec"]["hostNetwork"] = True


def _into_the_agents_fence(pod: Json) -> None:
    del pod["metadata"]["labels"]["ringfence.dev/gateway-uid"]


@pytest.mark.parametrize(
    "tamper", [_edit_image, _add_container, _host_network, _into_the_agents_fence]
)
async def test_altered_gateway_is_removed_and_comes_back_after_a_pause(
    tamper: Callable[[Json], None],
) -> None:
    world = await ready()
    tamper(world.gateway_child(POD))
    assert await world.run() == 60
    assert not world.has_gateway()
    assert world.exists(POD)
    assert world.condition()["reason"] == "PodAltered"
    assert "Pod gateway-demo differs" in world.condition()["message"]
    await world.run()
    assert not world.has_gateway()
    world.now += timedelta(seconds=61)
    await world.run()
    world.run_gateway()
    await world.run()
    assert world.condition()["reason"] == "PodReady"


def _proxy_elsewhere(pod: Json) -> None:
    for variable in pod["spec"]["containers"][0]["env"]:
        if variable["name"].lower().endswith("s_proxy"):
            variable["value"] = "http://10.96.3.3:3128"


def _guard_that_does_not_look(pod: Json) -> None:
    pod["spec"]["initContainers"][0]["command"] = ["true"]


def _no_guard(pod: Json) -> None:
    pod["spec"]["initContainers"] = []


def _proxy_in_the_pod(pod: Json) -> None:
    pod["spec"]["initContainers"].append({"name": "egress-proxy", "image": "evil:1"})


@pytest.mark.parametrize(
    "tamper", [_proxy_elsewhere, _guard_that_does_not_look, _no_guard, _proxy_in_the_pod]
)
async def test_altered_agent_is_removed(tamper: Callable[[Json], None]) -> None:
    world = await ready()
    tamper(world.child(POD))
    await world.run()
    assert not world.exists(POD)
    assert world.condition()["reason"] == "PodAltered"


@pytest.mark.parametrize("kind", GATEWAY_CHILDREN)
async def test_foreign_object_under_the_gateways_name_is_never_touched(kind: Kind) -> None:
    world = World(sandbox(), classes=(BEHIND,))
    foreign = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": GATEWAY, "namespace": "agents"},
        "spec": {},
    }
    stored = world.kube.put(kind, foreign)
    await world.run()
    assert world.condition()["reason"] == "NameConflict"
    assert world.gateway_child(kind) == stored
    assert not world.kube.writes["apply"]


async def test_sidecar_mode_has_no_quarrel_over_the_gateways_name() -> None:
    world = World(sandbox(className="standard"), classes=(SIDECAR, BEHIND))
    say_class(world, {**SIDECAR, "metadata": {"name": "standard"}})
    world.kube.put(SERVICE, {"metadata": {"name": GATEWAY, "namespace": "agents"}, "spec": {}})
    await world.run()
    assert world.exists(POD)


async def test_pods_are_removed_when_a_foreign_policy_takes_the_place_of_the_gateways_fence() -> (
    None
):
    world = await ready()
    del world.gateway_child(NETWORK_POLICY)["metadata"]["ownerReferences"]
    await world.run()
    assert not world.exists(POD)
    assert not world.has_gateway()
    assert world.condition()["reason"] == "NameConflict"


# --- the gateway goes away --------------------------------------------------------------------


async def test_sandbox_whose_gateway_is_gone_is_not_ready_and_gets_a_new_one() -> None:
    world = await ready()
    agent, address = world.child(POD)["metadata"]["uid"], world.gateway_child(SERVICE)["spec"]
    del world.kube.objects[POD, KEY.namespace, GATEWAY]
    await world.run()
    assert world.has_gateway()
    assert world.condition()["reason"] == "GatewayNotReady"
    assert world.condition("NetworkFenced")["status"] == "True"
    world.run_gateway()
    await world.run()
    assert world.condition()["reason"] == "PodReady"
    assert world.child(POD)["metadata"]["uid"] == agent
    assert world.gateway_child(SERVICE)["spec"]["clusterIP"] == address["clusterIP"]
    assert "DriftRepaired" not in {e["reason"] for e in world.kube.events}


async def test_evicted_gateway_is_replaced() -> None:
    world = await ready()
    before = world.gateway_child(POD)["metadata"]["uid"]
    world.gateway_child(POD)["status"] = {"phase": "Failed", "reason": "Evicted"}
    await world.run()
    assert world.gateway_child(POD)["metadata"]["uid"] != before
    assert "phase" not in world.gateway_child(POD).get("status", {})


async def test_agent_that_has_ended_needs_no_gateway() -> None:
    world = await ready(sandbox(restartPolicy="Never"))
    world.child(POD)["status"] = {"phase": "Succeeded"}
    await world.run()
    assert not world.has_gateway()
    assert world.condition()["reason"] == "PodSucceeded"
    assert "gatewayPodName" not in world.status
    world.kube.writes.clear()
    await world.run()
    assert not world.kube.writes


async def test_changed_allowlist_reaches_the_gateway_without_a_new_pod() -> None:
    world = await ready()
    before = copy.deepcopy([world.gateway_child(POD), world.child(POD), world.child(CONFIG_MAP)])
    world.edit_spec(egress={"allow": []})
    await world.run()
    gateway, agent, files = before
    key = "ringfence.dev/egress-hash"
    now = world.gateway_child(POD)["metadata"]
    assert now["uid"] == gateway["metadata"]["uid"]
    assert now["annotations"][key] != gateway["metadata"]["annotations"][key]
    assert world.child(POD)["metadata"] == agent["metadata"]
    assert world.child(CONFIG_MAP)["data"] != files["data"]
    assert world.condition("UpToDate")["status"] == "True"


# --- another mode -----------------------------------------------------------------------------


async def test_running_pod_keeps_the_mode_it_was_made_with() -> None:
    world = await ready()
    fences = [
        copy.deepcopy(child(NETWORK_POLICY)["spec"]) for child in (world.child, world.gateway_child)
    ]
    say_class(world, SIDECAR)
    await world.run()
    assert world.condition()["reason"] == "PodReady"
    assert world.condition("UpToDate")["status"] == "False"
    assert world.status["isolation"]["network"]["state"] == "Enforced"
    assert [c(NETWORK_POLICY)["spec"] for c in (world.child, world.gateway_child)] == fences


async def test_gateway_goes_once_no_pod_needs_it_any_more() -> None:
    world = await ready()
    say_class(world, SIDECAR)
    await world.run()
    del world.kube.objects[POD, *KEY]
    await world.run()
    assert not world.has_gateway()
    assert world.child(POD)["spec"]["initContainers"][0]["name"] == "egress-proxy"
    assert "127.0.0.1" in world.child(CONFIG_MAP)["data"]["lds.yaml"]
    world.run_pod()
    await world.run()
    assert "gatewayPodName" not in world.status
    assert world.condition()["reason"] == "PodReady"


async def test_sidecar_that_runs_keeps_its_way_out_when_its_class_turns_to_gateways() -> None:
    world = World(sandbox(), classes=(SIDECAR,))
    await world.run()
    world.run_pod()
    await world.run()
    fence = copy.deepcopy(world.child(NETWORK_POLICY)["spec"])
    say_class(world, BEHIND)
    await world.run()
    assert world.child(NETWORK_POLICY)["spec"] == fence
    assert not world.has_gateway()
    assert world.condition("UpToDate")["status"] == "False"
    del world.kube.objects[POD, *KEY]
    await world.run()
    world.run_gateway()
    await world.run()
    assert world.child(POD)["spec"]["initContainers"][0]["name"] == "guard"


async def test_outdated_gateway_runs_on_and_is_named() -> None:
    world = await ready()
    pod = world.gateway_child(POD)
    pod["metadata"]["annotations"]["ringfence.dev/spec-hash"] = "of-an-older-release"
    await world.run()
    assert world.gateway_child(POD)["metadata"]["uid"] == pod["metadata"]["uid"]
    assert world.condition("UpToDate")["message"].endswith("kubectl delete pod gateway-demo")


# --- any history ------------------------------------------------------------------------------

_MOVES = st.sampled_from(
    [
        "class Sidecar", "class Gateway", "class gone", "gateway runs", "agent runs", "agent ends",
        "gateway evicted", "gateway deleted", "agent deleted", "service deleted", "policy deleted",
        "fence deleted", "restart", "close", "later",
    ]
)  # fmt: skip


def _class_gone(world: World) -> None:
    world.kube.objects.pop((SANDBOX_CLASS, "", "standard"), None)
    world.reconcile.classes_changed()


def _delete(kind: Kind, name: str) -> Callable[[World], Any]:
    return lambda world: world.kube.objects.pop((kind, KEY.namespace, name), None)


def _with_pod(
    act: Callable[[World], None], exists: Callable[[World], bool]
) -> Callable[[World], None]:
    return lambda world: act(world) if exists(world) else None


def _end(world: World) -> None:
    world.child(POD)["status"] = {"phase": "Succeeded"}


def _evict(world: World) -> None:
    world.gateway_child(POD)["status"] = {"phase": "Failed", "reason": "Evicted"}


def _later(world: World) -> None:
    world.now += timedelta(seconds=61)


def _has_agent(world: World) -> bool:
    return world.exists(POD)


_ACTS: dict[str, Callable[[World], Any]] = {
    "class Sidecar": lambda world: say_class(world, SIDECAR),
    "class Gateway": lambda world: say_class(world, BEHIND),
    "class gone": _class_gone,
    "gateway runs": _with_pod(World.run_gateway, World.has_gateway),
    "gateway evicted": _with_pod(_evict, World.has_gateway),
    "gateway deleted": _delete(POD, GATEWAY),
    "agent runs": _with_pod(World.run_pod, _has_agent),
    "agent ends": _with_pod(_end, _has_agent),
    "agent deleted": _delete(POD, "demo"),
    "service deleted": _delete(SERVICE, GATEWAY),
    "policy deleted": _delete(NETWORK_POLICY, GATEWAY),
    "fence deleted": _delete(NETWORK_POLICY, "demo"),
    "restart": World.restart,
    "close": lambda world: world.edit_spec(egress={"allow": []}),
    "later": _later,
}


@settings(max_examples=60)
@given(st.lists(_MOVES, max_size=10))
def test_after_any_history_no_pod_is_without_its_fence_and_a_second_look_writes_nothing(
    moves: list[str],
) -> None:
    asyncio.run(_look_twice_after_each(moves))


async def _look_twice_after_each(moves: list[str]) -> None:
    world = World(sandbox(), classes=(BEHIND,))
    for move in moves:
        _ACTS[move](world)
        await world.run()
        world.kube.writes.clear()
        await world.run()
        assert not world.kube.writes, moves
        _assert_fenced(world)


def _assert_fenced(world: World) -> None:
    """An agent without a proxy in its Pod never has a rule that leads further than the gateway."""
    pod = world.child(POD) if world.exists(POD) else None
    if world.has_gateway():
        policy = world.gateway_child(NETWORK_POLICY)["spec"]
        assert all(set(peer) == {"podSelector"} for r in policy["ingress"] for peer in r["from"])
    if pod and pod["spec"]["initContainers"][0]["name"] == "guard":
        assert all(set(peer) == {"podSelector"} for peer in reachable(world.child(NETWORK_POLICY)))


# --- faults -----------------------------------------------------------------------------------

CALLS = [
    *(("get", kind) for kind in {*CHILDREN, *GATEWAY_CHILDREN}),
    *(("apply", kind) for kind in {*CHILDREN, *GATEWAY_CHILDREN}),
]


@pytest.mark.parametrize("status", [0, 409, 500])
@pytest.mark.parametrize(("verb", "kind"), CALLS, ids=[f"{v}-{k.kind}" for v, k in CALLS])
async def test_failure_of_any_call_converges_and_never_leaves_a_pod_without_a_fence(
    verb: str, kind: Kind, status: int
) -> None:
    world = World(sandbox(), classes=(BEHIND,))
    error = ApiError(status, "Fault", "injected")
    world.kube.fault = lambda v, k: error if (v, k) == (verb, kind) else None
    with pytest.raises(ApiError):
        await world.run()
    assert not world.has_gateway() or (NETWORK_POLICY, KEY.namespace, GATEWAY) in world.kube.objects
    assert not world.exists(POD)
    world.kube.fault = lambda _verb, _kind: None
    await world.run()
    world.run_gateway()
    await world.run()
    world.run_pod()
    await world.run()
    assert world.condition()["reason"] == "PodReady"
