"""The whole reconcile against an API server in memory: order, budget, repair, faults."""

import copy
from collections.abc import Callable
from datetime import timedelta

import pytest

from fake_kube import FakeKube
from ringfence.api import Json
from ringfence.kinds import (
    CHILDREN,
    CONFIG_MAP,
    NETWORK_POLICY,
    POD,
    SANDBOX,
    SANDBOX_CLASS,
    SERVICE_ACCOUNT,
    ApiError,
    Kind,
)
from ringfence.reconcile import Reconciler, Unsettled
from ringfence.workqueue import Key
from samples import (
    ROLE,
    SETTINGS,
    sandbox,
    sandbox_class,
)
from world import KEY, VOLUME_WAITS, World, ready, ready_in_steps, unschedulable


async def test_sandbox_becomes_ready() -> None:
    world = await ready()
    assert world.status["phase"] == "Running"
    assert world.condition()["status"] == "True"
    assert world.condition()["reason"] == "PodReady"
    assert world.status["nodeName"] == "node-1"
    assert world.status["podName"] == "demo"
    assert world.status["isolation"]["seccomp"]["state"] == "Enforced"
    assert world.status["isolation"]["audit"]["state"] == "NotAvailable"


async def test_pod_is_never_applied_before_its_network_policy() -> None:
    world = World(sandbox())
    await world.run()
    log = world.kube.log
    pod = log.index("apply Pod")
    for kind in ("ServiceAccount", "NetworkPolicy", "ConfigMap"):
        assert log.index(f"apply {kind}") < pod
    assert log.index("status Sandbox") < pod


async def test_create_stays_within_the_write_budget() -> None:
    world = await ready_in_steps()
    assert world.condition()["reason"] == "PodReady"
    assert world.kube.writes["apply"] <= 6
    assert world.kube.writes["status"] <= 3
    assert world.kube.writes["event"] <= 3
    assert world.kube.writes["delete"] == 0


@pytest.mark.parametrize("message", VOLUME_WAITS)
async def test_volume_that_is_being_made_costs_no_write(message: str) -> None:
    world = World(sandbox())
    await world.run()
    world.kube.writes.clear()
    world.child(POD)["status"] = unschedulable(message)
    again = await world.run()
    assert not world.kube.writes
    assert again
    assert 0 < again < 60


@pytest.mark.parametrize("status", [unschedulable(VOLUME_WAITS[1]), {}])
async def test_volume_that_does_not_come_is_told_with_the_ways_out(status: Json) -> None:
    world = World(sandbox())
    await world.run()
    world.child(POD)["status"] = status
    world.now += timedelta(seconds=60)
    again = await world.run()
    for type_ in ("Ready", "WorkspaceReady"):
        assert world.condition(type_)["status"] == "False"
        assert world.condition(type_)["reason"] == "WorkspacePending"
    for way_out in ("kubectl describe pvc demo-workspace", "storage.mode: Soft", "StorageClass"):
        assert way_out in world.condition()["message"]
    assert again is None
    world.kube.writes.clear()
    await world.run()
    assert not world.kube.writes


async def test_workspace_stays_ready_while_the_agent_starts_anew() -> None:
    world = await ready()
    assert world.condition("WorkspaceReady")["status"] == "True"
    status = world.child(POD)["status"]
    status["conditions"][1]["status"] = "False"
    status["containerStatuses"] = [{"name": "agent", "restartCount": 1, "state": {"waiting": {}}}]
    await world.run()
    assert world.condition()["status"] == "False"
    assert world.condition("WorkspaceReady")["status"] == "True"


async def test_soft_storage_is_called_soft() -> None:
    world = await ready(classes=(sandbox_class(storage={"mode": "Soft"}),))
    assert world.status["isolation"]["resources"]["reason"] == "SoftLimits"
    assert "evicted" in world.condition("WorkspaceReady")["message"]


async def test_steady_state_and_restart_write_nothing() -> None:
    world = await ready()
    world.kube.writes.clear()
    world.now += timedelta(hours=1)
    await world.run()
    world.restart()
    await world.run()
    assert not world.kube.writes


async def test_network_policy_outlives_the_sandbox_until_its_pod_is_gone() -> None:
    world = await ready()
    owners = [o["kind"] for o in world.child(NETWORK_POLICY)["metadata"]["ownerReferences"]]
    assert owners == ["Sandbox", "Pod"]


@pytest.mark.parametrize("kind", [SERVICE_ACCOUNT, NETWORK_POLICY, CONFIG_MAP])
async def test_deleted_child_is_made_again_and_reported(kind: Kind) -> None:
    world = await ready()
    before = copy.deepcopy(world.child(kind))
    del world.kube.objects[kind, *KEY]
    await world.run()
    assert _content(world.child(kind)) == _content(before)
    assert world.kube.events[-1]["reason"] == "DriftRepaired"
    assert f"{kind.kind}: was missing" in world.kube.events[-1]["note"]


async def test_widened_network_policy_is_narrowed_again() -> None:
    world = await ready()
    before = _content(copy.deepcopy(world.child(NETWORK_POLICY)))
    world.child(NETWORK_POLICY)["spec"]["egress"].append({})
    world.child(NETWORK_POLICY)["spec"]["ingress"] = [{}]
    await world.run()
    assert _content(world.child(NETWORK_POLICY)) == before
    assert "spec.ingress" in world.kube.events[-1]["note"]


async def test_policy_that_selects_other_pods_is_repaired() -> None:
    world = await ready()
    world.child(NETWORK_POLICY)["spec"]["podSelector"]["matchExpressions"] = [
        {"key": "x", "operator": "Exists"}
    ]
    await world.run()
    assert "matchExpressions" not in world.child(NETWORK_POLICY)["spec"]["podSelector"]


async def test_foreign_role_on_the_service_account_is_removed() -> None:
    world = await ready()
    account = world.child(SERVICE_ACCOUNT)
    account["metadata"]["annotations"] = {"eks.amazonaws.com/role-arn": ROLE}
    old = account["metadata"]["uid"]
    await world.run()
    meta = world.child(SERVICE_ACCOUNT)["metadata"]
    assert "eks.amazonaws.com/role-arn" not in meta.get("annotations", {})
    assert meta["uid"] != old


async def test_deleted_pod_is_made_again() -> None:
    world = await ready()
    del world.kube.objects[POD, *KEY]
    await world.run()
    assert world.exists(POD)
    assert world.condition()["reason"] == "Starting"
    owners = world.child(NETWORK_POLICY)["metadata"]["ownerReferences"]
    assert owners[1]["uid"] == world.child(POD)["metadata"]["uid"]


def _edit_image(pod: Json) -> None:
    pod["spec"]["containers"][0]["image"] = "evil:1"


def _add_container(pod: Json) -> None:
    pod["spec"]["containers"].append({"name": "extra", "image": "evil:1"})


def _drop_seccomp(pod: Json) -> None:
    del pod["spec"]["containers"][0]["securityContext"]["seccompProfile"]


def _host_network(pod: Json) -> None:
    pod["spec"]["hostNetwork"] = True


def _mount_host(pod: Json) -> None:
    pod["spec"]["volumes"].append({"name": "host", "hostPath": {"path": "/"}})


def _aws_in_agent(pod: Json) -> None:
    pod["spec"]["containers"][0]["env"].append({"name": "AWS_ROLE_ARN", "value": ROLE})


def _agent_hook(pod: Json) -> None:
    pod["spec"]["containers"][0]["lifecycle"] = {"postStart": {"exec": {"command": ["x"]}}}


def _grow_volume(pod: Json) -> None:
    claim = pod["spec"]["volumes"][0]["ephemeral"]["volumeClaimTemplate"]["spec"]
    claim["resources"]["requests"]["storage"] = "5Ti"


def _unlimited_workspace(pod: Json) -> None:
    pod["spec"]["volumes"][0] = {"name": "workspace", "emptyDir": {}}


def _whole_volume(pod: Json) -> None:
    del pod["spec"]["containers"][0]["volumeMounts"][0]["subPath"]


def _unconfine(pod: Json) -> None:
    key = "container.apparmor.security.beta.kubernetes.io/agent"
    pod["metadata"]["annotations"][key] = "unconfined"


def _any_node(pod: Json) -> None:
    del pod["spec"]["affinity"]


def _or_any_node(pod: Json) -> None:
    _node_terms(pod).append({"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]})


def _more_processes(pod: Json) -> None:
    variable = pod["spec"]["initContainers"][0]["env"][0]
    variable["value"] = variable["value"].replace('"pids":256', '"pids":25600')


def _no_wait_for_limits(pod: Json) -> None:
    hook = pod["spec"]["initContainers"][0]["lifecycle"]["postStart"]["exec"]
    hook["command"].append("--without-limits")


def _node_terms(pod: Json) -> list[Json]:
    required = pod["spec"]["affinity"]["nodeAffinity"]
    found: list[Json] = required["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    return found


@pytest.mark.parametrize(
    "tamper",
    [
        _any_node,
        _or_any_node,
        _more_processes,
        _no_wait_for_limits,
        _edit_image,
        _add_container,
        _drop_seccomp,
        _host_network,
        _mount_host,
        _aws_in_agent,
        _agent_hook,
        _grow_volume,
        _unlimited_workspace,
        _whole_volume,
        _unconfine,
    ],
)
async def test_altered_pod_is_removed_and_comes_back_after_a_pause(
    tamper: Callable[[Json], None],
) -> None:
    world = await ready()
    tamper(world.child(POD))
    pause = await world.run()
    assert not world.exists(POD)
    assert world.condition()["reason"] == "PodAltered"
    assert pause == 60
    await world.run()
    assert not world.exists(POD)
    world.now += timedelta(seconds=61)
    await world.run()
    assert world.exists(POD)


async def test_altered_pod_is_still_called_altered_while_it_ends() -> None:
    world = await ready()
    world.kube.graceful = True
    _edit_image(world.child(POD))
    await world.run()
    await world.run()
    assert world.condition()["reason"] == "PodAltered"
    del world.kube.objects[POD, *KEY]
    await world.run()
    assert world.condition()["reason"] == "PodAltered"
    assert not world.exists(POD)


async def test_webhook_that_alters_every_pod_gets_one_pod_a_minute() -> None:
    world = await ready()
    made = 0
    for _ in range(60):
        if world.exists(POD):
            made += 1
            _edit_image(world.child(POD))
        await world.run()
        world.now += timedelta(seconds=5)
    assert 4 <= made <= 6


async def test_a_token_that_admission_mounts_into_the_proxy_is_an_alteration() -> None:
    world = await ready()
    pod = world.child(POD)
    pod["spec"]["volumes"].append({"name": "aws-iam-token", "projected": {}})
    proxy = pod["spec"]["initContainers"][0]
    proxy["env"].append({"name": "AWS_ROLE_ARN", "value": ROLE})
    proxy["volumeMounts"].append({"name": "aws-iam-token", "mountPath": "/var/run/x"})
    await world.run()
    assert world.condition()["reason"] == "PodAltered"


async def test_admission_may_narrow_the_choice_of_nodes() -> None:
    world = await ready()
    (term,) = _node_terms(world.child(POD))
    term["matchExpressions"].append({"key": "zone", "operator": "In", "values": ["a"]})
    world.child(POD)["spec"]["affinity"]["podAntiAffinity"] = {}
    await world.run()
    assert world.condition()["reason"] == "PodReady"


async def test_debug_container_degrades_the_layers_it_escapes() -> None:
    world = await ready()
    world.child(POD)["spec"]["ephemeralContainers"] = [{"name": "debugger"}]
    await world.run()
    assert world.status["isolation"]["seccomp"]["state"] == "Degraded"
    assert world.status["isolation"]["process"]["reason"] == "EphemeralContainer"


async def test_changed_spec_leaves_the_pod_and_says_how_to_roll_out() -> None:
    world = await ready()
    uid = world.child(POD)["metadata"]["uid"]
    world.edit_spec(resources={"cpu": "500m"})
    await world.run()
    assert world.child(POD)["metadata"]["uid"] == uid
    assert world.condition("UpToDate")["status"] == "False"
    assert "kubectl delete pod demo" in world.condition("UpToDate")["message"]
    assert world.condition()["status"] == "True"


async def test_changed_allowlist_reaches_proxy_and_policy_without_a_new_pod() -> None:
    world = await ready()
    uid = world.child(POD)["metadata"]["uid"]
    before = world.child(CONFIG_MAP)["data"]
    egress = world.child(POD)["metadata"]["annotations"]["ringfence.dev/egress-hash"]
    world.edit_spec(egress={"allow": []})
    await world.run()
    assert world.child(CONFIG_MAP)["data"] != before
    assert world.child(NETWORK_POLICY)["spec"]["egress"] == []
    assert world.child(POD)["metadata"]["uid"] == uid
    assert world.child(POD)["metadata"]["annotations"]["ringfence.dev/egress-hash"] != egress
    assert world.condition("UpToDate")["status"] == "True"
    assert all(e["reason"] != "DriftRepaired" for e in world.kube.events)


REFUSALS = {
    "InvalidSpec": (sandbox(resources={"cpu": "lots"}), None, "spec.resources.cpu"),
    "ClassNotFound": (sandbox(className="nope"), None, "no SandboxClass 'nope'"),
    "ClassCeilingExceeded": (
        sandbox(resources={"memory": "1Ti"}),
        None,
        "spec.resources.memory 1Ti is more than 2Gi",
    ),
    "ClassInvalid": (sandbox(), (sandbox_class(limits={"cpu": "x"}),), "spec.limits.cpu"),
    "IsolationBelowMinimum": (
        sandbox(),
        (sandbox_class(minimumIsolation={"audit": "Enforced"}),),
        "audit would be NotAvailable",
    ),
}


@pytest.mark.parametrize("reason", REFUSALS)
async def test_refused_sandbox_gets_no_pod_and_a_message_with_the_way_out(reason: str) -> None:
    body, classes, text = REFUSALS[reason]
    world = World(body, classes=classes)
    await world.run()
    assert world.condition()["reason"] == reason
    assert text in world.condition()["message"]
    assert not any(world.exists(kind) for kind in CHILDREN)
    assert [e["type"] for e in world.kube.events] == ["Warning"]
    world.kube.writes.clear()
    await world.run()
    assert not world.kube.writes


async def test_no_default_class_says_how_to_make_one() -> None:
    world = World(sandbox(), classes=(sandbox_class(default=False),))
    await world.run()
    assert "is-default-class" in world.condition()["message"]


async def test_refused_sandbox_starts_once_its_class_appears() -> None:
    world = World(sandbox(className="late"), classes=())
    await world.run()
    world.kube.put(SANDBOX_CLASS, sandbox_class("late"))
    world.reconcile.classes_changed()
    await world.run()
    assert world.exists(POD)


async def test_running_sandbox_loses_its_network_when_its_class_is_gone() -> None:
    world = await ready()
    del world.kube.objects[SANDBOX_CLASS, "", "standard"]
    world.reconcile.classes_changed()
    await world.run()
    assert world.condition()["reason"] == "ClassNotFound"
    assert world.exists(POD)
    assert world.child(NETWORK_POLICY)["spec"]["egress"] == []
    world.kube.writes.clear()
    await world.run()
    assert not world.kube.writes


@pytest.mark.parametrize("kind", CHILDREN)
async def test_foreign_object_of_the_same_name_is_never_touched(kind: Kind) -> None:
    world = World(sandbox())
    foreign = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": "demo", "namespace": "agents"},
        "spec": {},
    }
    stored = world.kube.put(kind, foreign)
    assert await world.run() == 15
    assert world.condition()["reason"] == "NameConflict"
    assert world.child(kind) == stored
    assert not world.kube.writes["apply"]


async def test_pod_is_removed_when_a_foreign_policy_takes_the_place_of_its_fence() -> None:
    world = await ready()
    del world.child(NETWORK_POLICY)["metadata"]["ownerReferences"]
    await world.run()
    assert not world.exists(POD)
    assert world.condition()["reason"] == "NameConflict"


async def test_sandbox_in_deletion_is_left_alone() -> None:
    body = sandbox()
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world = World(body)
    await world.run()
    assert not world.kube.writes


async def test_uid_of_a_gone_sandbox_is_free_again() -> None:
    world = await ready()
    uid = world.status["uid"]
    del world.kube.objects[SANDBOX, *KEY]
    await world.run()
    assert world.uids.claim("somebody-else", uid) == uid


async def test_two_sandboxes_with_one_recorded_uid_are_told_apart() -> None:
    world = await ready()
    twin = copy.deepcopy(world.kube.objects[SANDBOX, *KEY])
    twin["metadata"] |= {"name": "twin", "uid": "younger", "creationTimestamp": "2026-02-01"}
    world.kube.put(SANDBOX, twin)
    world.restart()
    await world.reconcile(Key("agents", "twin"))
    assert world.kube.objects[SANDBOX, "agents", "twin"]["status"]["uid"] != world.status["uid"]


async def test_name_of_253_characters_gets_children_with_short_unique_names() -> None:
    name = "a" * 253
    world = World()
    world.kube.put(SANDBOX, sandbox(name))
    await world.reconcile(Key("agents", name))
    (pod,) = [n for (k, _, n) in world.kube.objects if k == POD]
    assert len(pod) <= 63
    assert pod != "a" * 63


async def test_refusal_by_the_api_server_is_shown_and_tried_again() -> None:
    world = World(sandbox())
    world.kube.fault = _fail("apply", POD, ApiError(403, "Forbidden", "exceeded quota: pods=0"))
    with pytest.raises(ApiError):
        await world.run()
    assert world.condition()["reason"] == "Rejected"
    assert "exceeded quota" in world.condition()["message"]
    world.kube.fault = lambda _verb, _kind: None
    await world.run()
    assert world.condition()["reason"] == "Starting"
    assert world.exists(POD)


async def test_terminating_namespace_has_its_own_reason() -> None:
    world = World(sandbox())
    cause = {"reason": "NamespaceTerminating", "message": "being deleted"}
    error = ApiError(403, "Forbidden", "unable to create", causes=[cause])
    world.kube.fault = _fail("apply", SERVICE_ACCOUNT, error)
    with pytest.raises(ApiError):
        await world.run()
    assert world.condition()["reason"] == "NamespaceTerminating"


CALLS = [
    ("get", SANDBOX),
    ("list", SANDBOX_CLASS),
    *(("get", kind) for kind in CHILDREN),
    ("status", SANDBOX),
    *(("apply", kind) for kind in CHILDREN),
    ("event", SANDBOX),
]


@pytest.mark.parametrize("status", [0, 404, 409, 429, 500])
@pytest.mark.parametrize(("verb", "kind"), CALLS, ids=[f"{v}-{k.kind}" for v, k in CALLS])
async def test_failure_of_any_call_converges_and_never_leaves_a_pod_without_a_fence(
    verb: str, kind: Kind, status: int
) -> None:
    world = World(sandbox())
    world.kube.fault = _fail(verb, kind, ApiError(status, "Fault", "injected"))
    with pytest.raises(ApiError):
        await world.run()
    assert not world.exists(POD) or world.exists(NETWORK_POLICY)
    world.kube.fault = lambda _verb, _kind: None
    await world.run()
    world.run_pod()
    await world.run()
    assert world.condition()["reason"] == "PodReady"


async def test_fight_over_a_child_backs_off() -> None:
    world = World(sandbox())

    class Undoing(FakeKube):
        async def apply(self, obj: Json) -> Json:
            stored = await super().apply(obj)
            return {**stored, "spec": {}} if obj["kind"] == "NetworkPolicy" else stored

    undoing = Undoing()
    undoing.objects = world.kube.objects
    world.reconcile = Reconciler(undoing, SETTINGS, world.uids, world.books, lambda: world.now)
    with pytest.raises(Unsettled):
        await world.run()
    assert not world.exists(POD)


def _fail(verb: str, kind: Kind, error: ApiError) -> Callable[[str, Kind], ApiError | None]:
    return lambda v, k: error if (v, k) == (verb, kind) else None


def _content(body: Json) -> Json:
    content = {k: v for k, v in body.items() if k != "metadata"}
    return content | {"labels": body["metadata"]["labels"]}
