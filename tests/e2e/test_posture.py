"""A Sandbox runs only where a node agent vouches for it, and says so when nobody does any more.

One outage of the node agent serves several tests, as it takes a minute: what was seen before,
during and after it is gathered once.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

import pytest

import product
import support
from cluster import Cluster, ClusterError
from support import Json

pytestmark = pytest.mark.usefixtures("ringfence")

LOST_SECONDS = 90.0
"""40 s of silence, and time for what follows from it."""
BACK_SECONDS = 180.0
PROFILES = "/var/lib/kubelet/seccomp/ringfence"
READ_BACK = ("process", "namespaces", "seccomp", "resources")


class NodeAgent:
    """The DaemonSet of the node agent, to be stopped and started."""

    _PLACE = ("-n", product.NAMESPACE)
    _SELECTOR = ("-l", "app.kubernetes.io/component=node")

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def stop(self) -> None:
        """Leaves it no node to run on, and waits until it is gone."""
        self._select({"no": "node"})
        self._cluster.kubectl("wait", "--for=delete", "pod", *self._SELECTOR, *self._PLACE)

    def start(self) -> None:
        """Gives it its nodes back; does not wait for it."""
        self._select({"no": None})

    def _select(self, labels: Json) -> None:
        patch = json.dumps({"spec": {"template": {"spec": {"nodeSelector": labels}}}})
        name = "daemonset/ringfence-node"
        self._cluster.kubectl("patch", name, *self._PLACE, "--type=merge", "-p", patch)


@pytest.fixture
def node_agent(cluster: Cluster) -> Iterator[NodeAgent]:
    """The node agent; it runs again after the test."""
    agent = NodeAgent(cluster)
    yield agent
    agent.start()
    cluster.kubectl("rollout", "status", "daemonset/ringfence-node", *agent._PLACE)


@dataclass
class Outage:
    """Sandboxes as they were when the agent was known to be lost, and after its return."""

    during: dict[str, Json] = field(default_factory=dict)
    after: dict[str, Json] = field(default_factory=dict)
    early_pod: Json = field(default_factory=dict)
    late_pod: Json | None = None


@pytest.fixture(scope="module")
def outage(cluster: Cluster) -> Iterator[Outage]:
    """`running` was Ready before, `early` came before the loss was known, `late` after it."""
    space = f"test-outage-{uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", space)
    agent, seen = NodeAgent(cluster), Outage()
    try:
        support.sandbox(cluster, space, "running")
        agent.stop()
        for name in ("early", "doomed"):
            support.create_sandbox(cluster, space, name)
        support.wait_for(cluster, space, "early", "NodeAgentNotReady", LOST_SECONDS)
        support.create_sandbox(cluster, space, "late")
        support.wait_for(cluster, space, "late", "ProfilesNotInstalled")
        seen.during = _sandboxes(cluster, space)
        seen.early_pod = support.get(cluster, "pod", space, "early") or {}
        seen.late_pod = support.get(cluster, "pod", space, "late")
        cluster.kubectl("delete", "sandbox", "doomed", "-n", space, "--timeout=30s")
        support.poll("its Pod to go", lambda: support.get(cluster, "pod", space, "doomed") is None)
        agent.start()
        for name in ("running", "early", "late"):
            support.wait_ready(cluster, space, name, BACK_SECONDS)
        _wait_for_layer(cluster, space, "running", "Verified")
        seen.after = _sandboxes(cluster, space)
        yield seen
    finally:
        agent.start()
        cluster.kubectl("delete", "namespace", space, "--wait=false")


def _sandboxes(cluster: Cluster, namespace: str) -> dict[str, Json]:
    found = support.items(cluster, "sandboxes", namespace)
    return {body["metadata"]["name"]: body for body in found}


def _wait_for_layer(cluster: Cluster, namespace: str, name: str, reason: str) -> Json:
    def look() -> Json | None:
        found = support.get(cluster, "sandbox", namespace, name)
        layers = (found or {}).get("status", {}).get("isolation", {})
        return found if layers.get("seccomp", {}).get("reason") == reason else None

    return support.poll(f"layer seccomp of {name} to be {reason}", look, LOST_SECONDS)


def test_no_agent_container_starts_while_the_node_agent_is_down(outage: Outage) -> None:
    proxy, guard = outage.early_pod["status"]["initContainerStatuses"]
    (agent,) = outage.early_pod["status"]["containerStatuses"]
    assert not proxy["started"]
    assert "waiting" in guard["state"]
    assert agent["state"]["waiting"]["reason"] == "PodInitializing"
    message = support.condition(outage.during["early"])["message"]
    assert "kubectl get sandboxnodes" in message


def test_no_pod_is_made_once_the_node_agent_is_known_to_be_lost(outage: Outage) -> None:
    assert outage.late_pod is None
    condition = support.condition(outage.during["late"], "ProfilesInstalled")
    assert condition["status"] == "False"
    assert "kubectl get daemonsets" in condition["message"]


def test_sandbox_that_runs_stays_ready_and_claims_nothing_that_nobody_sees(outage: Outage) -> None:
    found = outage.during["running"]
    assert support.condition(found)["status"] == "True"
    assert support.condition(found, "ProfilesInstalled")["status"] == "Unknown"
    assert support.condition(found, "LimitsEnforced")["status"] == "Unknown"
    states = {name: found["status"]["isolation"][name]["state"] for name in READ_BACK}
    assert set(states.values()) == {"Degraded"}
    reasons = {found["status"]["isolation"][name]["reason"] for name in READ_BACK}
    assert reasons == {"NodeAgentLost"}


def test_everything_comes_back_by_itself(outage: Outage) -> None:
    for name, found in outage.after.items():
        assert support.condition(found, "ProfilesInstalled")["status"] == "True", name
        for layer in ("process", "namespaces", "seccomp"):
            assert found["status"]["isolation"][layer]["state"] == "Enforced", (name, layer)
    before, after = outage.during["running"], outage.after["running"]
    assert before["status"]["uid"] == after["status"]["uid"]


def test_node_that_loses_its_profile_is_reported_and_takes_no_new_sandbox(
    cluster: Cluster, namespace: str
) -> None:
    """A file takes the place of the profiles' directory, so that the agent cannot repair it.

    At one stroke: between two the agent would have put the directory back.
    """
    support.sandbox(cluster, namespace, "running")
    cluster.node_exec("touch", f"{PROFILES}.away")
    cluster.node_exec("mv", "--exchange", "-T", PROFILES, f"{PROFILES}.away")
    try:
        support.poll("the loss to be told", lambda: _profiles(cluster, namespace) == "False")
        support.create_sandbox(cluster, namespace, "new")
        support.wait_for(cluster, namespace, "new", "ProfilesNotInstalled")
        assert support.get(cluster, "pod", namespace, "new") is None
    finally:
        cluster.node_exec("mv", "--exchange", "-T", PROFILES, f"{PROFILES}.away")
        cluster.node_exec("rm", f"{PROFILES}.away")
    for name in ("running", "new"):
        support.wait_ready(cluster, namespace, name, LOST_SECONDS)
    support.poll("the profile to be back", lambda: _profiles(cluster, namespace) == "True")


def _profiles(cluster: Cluster, namespace: str) -> str:
    found = support.get(cluster, "sandbox", namespace, "running")
    status: str = support.condition(found, "ProfilesInstalled").get("status", "")
    return status


def test_what_was_verified_cannot_be_forged(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    forged = {
        "type": "ringfence.dev/AppArmor",
        "status": "True",
        "reason": "Verified",
        "message": "trust me",
        "lastProbeTime": "2099-01-01T00:00:00Z",
    }
    patch = json.dumps({"status": {"conditions": [forged]}})
    with pytest.raises(ClusterError, match="only the Ringfence node agent"):
        cluster.kubectl(
            *("patch", "pod", name, "-n", namespace, "--subresource=status"),
            *("--type=strategic", "-p", patch),
        )


def test_restarted_agent_container_is_ready_only_after_it_was_looked_at_again(
    cluster: Cluster, namespace: str
) -> None:
    """Whatever ends it: the verdict about the one before does not count for the one after."""
    command = ["python3", "-c", "import time; time.sleep(20)"]
    name = support.sandbox(cluster, namespace, command=command)

    def restarted() -> Json | None:
        pod = support.get(cluster, "pod", namespace, name) or {}
        (agent,) = pod["status"]["containerStatuses"]
        return pod if agent["restartCount"] and agent["ready"] else None

    support.poll("the agent container to restart", restarted)
    support.wait_ready(cluster, namespace, name)
    pod = support.get(cluster, "pod", namespace, name) or {}
    (agent,) = pod["status"]["containerStatuses"]
    (verdict,) = (
        c for c in pod["status"]["conditions"] if c["type"] == "ringfence.dev/PostureVerified"
    )
    started = datetime.fromisoformat(agent["state"]["running"]["startedAt"])
    assert datetime.fromisoformat(verdict["lastProbeTime"]) >= started
