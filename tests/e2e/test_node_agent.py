"""The node agent on a real node: limits hold, what is said is what the kernel has, faults heal."""

import json
import time
from collections.abc import Iterator

import pytest

import node_agent
import support
from cluster import Cluster
from node_agent import LABEL, PROFILE, VERIFIED

pytestmark = pytest.mark.usefixtures("ringfence")

AT_ONCE = 5.0
"""Seconds in which something is noticed that is not left to the scan every 10 s."""

FORK_BOMB = """
import errno, json, os, signal
children, error = [], 0
try:
    for _ in range(1000):
        pid = os.fork()
        if pid == 0:
            signal.pause()
        children.append(pid)
except OSError as refused:
    error = refused.errno
print(json.dumps({"children": len(children), "again": error == errno.EAGAIN}))
for pid in children:
    os.kill(pid, signal.SIGKILL)
"""


@pytest.fixture
def open_namespace(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A namespace without Pod Security, which would not let hostile Pods in."""
    name = f"{namespace}-open"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_what_is_said_is_what_the_kernel_has(cluster: Cluster, namespace: str) -> None:
    said = node_agent.verified(cluster, namespace)
    assert {type_: c["status"] for type_, c in said.items()} == {
        "ringfence.dev/Process": "True",
        "ringfence.dev/Namespaces": "True",
        "ringfence.dev/Seccomp": "True",
        "ringfence.dev/AppArmor": "Unknown",
        "ringfence.dev/Resources": "False",  # the disk is an emptyDir
        "ringfence.dev/Network": "True",
        VERIFIED: "True",
    }
    resources = said["ringfence.dev/Resources"]
    assert resources["reason"] == "SoftLimits"
    words = ("pids 64 (container cgroup)", "RLIMIT_NPROC 64", "memory 268435456", "cpu 1")
    assert [word for word in words if word not in resources["message"]] == []


def test_fork_bomb_ends_at_the_limit(cluster: Cluster, namespace: str) -> None:
    node_agent.verified(cluster, namespace)
    seen = json.loads(support.python(cluster, namespace, "by-hand", FORK_BOMB))
    assert seen["again"]
    assert 40 < seen["children"] < 64


def test_every_cgroup_of_the_pod_is_limited(cluster: Cluster, namespace: str) -> None:
    node_agent.verified(cluster, namespace)
    limits = {
        container: node_agent.pids_max(cluster, node_agent.cgroup(cluster, namespace, container))
        for container in ("", "agent", "egress-proxy")
    }
    assert limits == {"": "208", "agent": "64", "egress-proxy": "128"}


def test_raised_limit_is_lowered_at_once(cluster: Cluster, namespace: str) -> None:
    node_agent.verified(cluster, namespace)
    agent = node_agent.cgroup(cluster, namespace, "agent")
    cluster.node_exec("sh", "-c", f"echo max > {agent}/pids.max")
    support.poll(
        "the limit to be back", lambda: node_agent.pids_max(cluster, agent) == "64", AT_ONCE
    )


def test_lower_limit_of_somebody_else_stays_and_is_named(cluster: Cluster, namespace: str) -> None:
    node_agent.verified(cluster, namespace)
    pod = node_agent.cgroup(cluster, namespace)
    cluster.node_exec("sh", "-c", f"echo 50 > {pod}/pids.max")

    def said() -> bool:
        found = node_agent.conditions(cluster, namespace)["ringfence.dev/Resources"]
        return "pids 50 (Pod cgroup)" in found["message"]

    support.poll("the Pod's own limit to be named", said, AT_ONCE)
    assert node_agent.pids_max(cluster, pod) == "50"


def test_second_belt_is_on_later_processes_too(cluster: Cluster, namespace: str) -> None:
    """`kubectl exec` starts with the runtime's RLIMIT_NPROC, not with that of the first process."""
    node_agent.verified(cluster, namespace)
    program = "import resource, time; time.sleep(15); print(resource.getrlimit(6))"
    assert support.python(cluster, namespace, "by-hand", program).strip() == "(64, 64)"


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        ({"readOnlyRootFilesystem": False}, "Privileged"),
        ({"capabilities": {"add": ["NET_ADMIN"]}}, "Privileged"),
        ({"seccompProfile": {"type": "Unconfined"}}, "Unfiltered"),
        ({"seccompProfile": {"type": "RuntimeDefault"}}, "Unfiltered"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_pod_that_is_not_as_it_must_be_is_not_verified(
    cluster: Cluster, open_namespace: str, context: dict[str, object], reason: str
) -> None:
    node_agent.create(cluster, node_agent.body(cluster, open_namespace, **context))
    said = node_agent.wait_posture(cluster, open_namespace, "False")
    assert said[VERIFIED]["reason"] == reason


@pytest.mark.parametrize("shared", ["hostPID", "hostIPC", "hostNetwork"])
def test_pod_in_a_namespace_of_the_node_is_not_verified(
    cluster: Cluster, open_namespace: str, shared: str
) -> None:
    pod = node_agent.body(cluster, open_namespace)
    pod["spec"] |= {shared: True, "hostUsers": True}
    node_agent.create(cluster, pod)
    # In the node's own pid namespace no container has a first process that can be judged.
    if shared == "hostPID":
        support.poll(
            "the Pod to run",
            lambda: (
                (support.get(cluster, "pod", open_namespace, "by-hand") or {})
                .get("status", {})
                .get("phase")
                == "Running"
            ),
        )
        time.sleep(AT_ONCE)
        assert node_agent.conditions(cluster, open_namespace).get(VERIFIED) is None
        return
    said = node_agent.wait_posture(cluster, open_namespace, "False")
    assert said["ringfence.dev/Namespaces"]["reason"] == "HostNamespace"


def test_pod_without_limits_is_limited_but_not_verified(cluster: Cluster, namespace: str) -> None:
    node_agent.create(cluster, node_agent.body(cluster, namespace, {"pids": "all"}))
    said = node_agent.wait_posture(cluster, namespace, "False")
    assert said[VERIFIED]["reason"] == "LimitsUnknown"
    agent = node_agent.cgroup(cluster, namespace, "agent")
    assert node_agent.pids_max(cluster, agent) == "256"


def test_process_brought_in_from_outside_is_told(cluster: Cluster, namespace: str) -> None:
    node_agent.verified(cluster, namespace)
    agent = node_agent.cgroup(cluster, namespace, "agent")
    intrude = f"echo $$ > {agent}/cgroup.procs; exec sleep 20"
    cluster.node_exec("sh", "-c", f"setsid sh -c '{intrude}' >/dev/null 2>&1 &")
    said = node_agent.wait_posture(cluster, namespace, "False", 20)
    assert "has capabilities" in said["ringfence.dev/Process"]["message"]
    node_agent.wait_posture(cluster, namespace, "True", 40)


def test_lost_profile_is_said_at_once_and_comes_back(cluster: Cluster) -> None:
    support.poll("the label", lambda: LABEL in node_agent.node_labels(cluster))
    # A directory cannot be replaced by a file. In a loop, as the agent repairs faster than a shell.
    cluster.node_exec("sh", "-c", f"until rm -f {PROFILE} && mkdir {PROFILE}; do :; done")
    try:
        support.poll("no label", lambda: LABEL not in node_agent.node_labels(cluster), AT_ONCE)
        status = support.poll("its word", lambda: _without_profile(cluster), AT_ONCE)
        (condition,) = status["conditions"]
        assert (condition["status"], condition["reason"]) == ("False", "NotInstalled")
    finally:
        cluster.node_exec("rmdir", PROFILE)
    support.poll("the label", lambda: LABEL in node_agent.node_labels(cluster), AT_ONCE)


def _without_profile(cluster: Cluster) -> dict[str, list[dict[str, str]]] | None:
    status = node_agent.sandbox_node(cluster)
    return None if status.get("seccompProfiles") else status


@pytest.mark.parametrize("component", ["kubelet", "containerd", "apiserver"])
def test_agent_outlives_restarts_around_it(
    cluster: Cluster, namespace: str, component: str
) -> None:
    pid = node_agent.process(cluster)
    cluster.restart(component)
    cluster.wait_ready()
    node_agent.verified(cluster, namespace)
    assert node_agent.process(cluster) == pid
    before = node_agent.sandbox_node(cluster)["renewTime"]
    support.poll("a heartbeat", lambda: node_agent.sandbox_node(cluster)["renewTime"] != before)


def test_pod_that_was_there_first_is_taken_care_of(cluster: Cluster, namespace: str) -> None:
    with node_agent.stopped(cluster):
        node_agent.create(cluster, node_agent.body(cluster, namespace))
        support.poll("the agent to run", lambda: _agent_runs(cluster, namespace))
        assert node_agent.conditions(cluster, namespace) == {}
    node_agent.wait_posture(cluster, namespace)
    agent = node_agent.cgroup(cluster, namespace, "agent")
    assert node_agent.pids_max(cluster, agent) == "64"


def _agent_runs(cluster: Cluster, namespace: str) -> bool:
    pod = support.get(cluster, "pod", namespace, "by-hand") or {}
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return any(s.get("started") for s in statuses)


def test_limits_and_labels_stay_when_the_agent_is_killed(cluster: Cluster, namespace: str) -> None:
    node_agent.verified(cluster, namespace)
    agent = node_agent.cgroup(cluster, namespace, "agent")
    pid = node_agent.process(cluster)
    assert pid is not None
    cluster.node_exec("kill", "-9", pid)
    assert LABEL in node_agent.node_labels(cluster)
    assert node_agent.pids_max(cluster, agent) == "64"
    support.poll("a new agent", lambda: node_agent.process(cluster) not in (None, pid))
    before = node_agent.sandbox_node(cluster)["renewTime"]
    support.poll("a heartbeat", lambda: node_agent.sandbox_node(cluster)["renewTime"] != before)


def test_restarted_agent_container_is_verified_anew(cluster: Cluster, namespace: str) -> None:
    first = node_agent.verified(cluster, namespace)[VERIFIED]["lastProbeTime"]
    directory = node_agent.cgroup(cluster, namespace, "agent")
    time.sleep(1.5)  # times are told in seconds
    cluster.node_exec("sh", "-c", f"kill -9 $(head -1 {directory}/cgroup.procs)")

    def told_again() -> bool:
        pod = support.get(cluster, "pod", namespace, "by-hand") or {}
        (status,) = pod["status"]["containerStatuses"]
        started = status["state"].get("running", {}).get("startedAt", "9999")
        said = node_agent.conditions(cluster, namespace)[VERIFIED]
        return bool(started <= said["lastProbeTime"] and said["lastProbeTime"] > first)

    support.poll("a look at the new container", told_again)
    agent = node_agent.cgroup(cluster, namespace, "agent")
    assert agent != directory
    assert node_agent.pids_max(cluster, agent) == "64"


def test_one_write_per_start_and_none_at_rest(cluster: Cluster, namespace: str) -> None:
    log = cluster.state / "audit.log"
    start = log.stat().st_size
    node_agent.verified(cluster, namespace)
    time.sleep(25)  # two scans
    writes = [
        event["objectRef"]
        for event in map(json.loads, log.read_bytes()[start:].splitlines())
        if event["user"]["username"] == node_agent.AGENT
        and event["verb"] not in ("get", "list", "watch")
        and event["stage"] == "ResponseComplete"
    ]
    of_pod = [w for w in writes if w.get("namespace") == namespace]
    assert 1 <= len(of_pod) <= 2, of_pod  # a second one if the kubelet's clock ticked in between
    assert {w["resource"] for w in writes} <= {"pods", "sandboxnodes"}
    assert len([w for w in writes if w["resource"] == "sandboxnodes"]) <= 4
