"""The embedded cluster keeps what it promises, so that other tests may rely on it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from cluster import Cluster, ClusterError, config
from cluster.shell import run, wait_until
from pods import DENY_ALL, PORT, pod, reaches, serving, sh, start

if TYPE_CHECKING:
    from collections.abc import Iterator

# Counters and names that change by themselves on any machine.
VOLATILE = (
    *("fs.dentry-state", "fs.file-nr", "fs.inode-", "fs.quota.", "fs.aio-nr"),
    *("kernel.ns_last_pid", "kernel.random.", "kernel.pty.nr", "kernel.sched_domain"),
    *("net.netfilter.nf_conntrack_count", "net.netfilter.nf_conntrack_buckets"),
)


@pytest.fixture
def one(cluster: Cluster, namespace: str) -> str:
    """A namespace with the running Pod `one`."""
    start(cluster, namespace, pod("one"))
    return namespace


@pytest.fixture
def world_server(cluster: Cluster) -> Iterator[str]:
    """A web server in the stand-in internet."""
    with serving(cluster.world_argv(), config.WORLD_ROUTER) as url:
        yield url


def test_node_is_ready_with_the_promised_version(cluster: Cluster) -> None:
    node = json.loads(cluster.kubectl("get", "node", config.NODE_NAME, "-o", "json"))["status"]
    conditions = {one["type"]: one["status"] for one in node["conditions"]}
    assert conditions["Ready"] == "True"
    assert node["nodeInfo"]["kubeletVersion"] == config.KUBERNETES_VERSION
    assert node["capacity"]["pods"] == "200"


def test_pod_runs_commands_and_keeps_logs(cluster: Cluster, namespace: str) -> None:
    talker = pod("one")
    talker["spec"]["containers"][0]["command"] = ["sh", "-c", "echo hello; sleep infinity"]
    start(cluster, namespace, talker)
    assert sh(cluster, namespace, "id -u") == "30000\n"
    assert cluster.kubectl("logs", "-n", namespace, "one") == "hello\n"


def test_dns_resolves_services_and_nothing_unknown(cluster: Cluster, one: str) -> None:
    answer = sh(cluster, one, "nslookup kubernetes.default.svc.cluster.local")
    assert config.API_SERVICE_ADDRESS in answer
    assert "NXDOMAIN" in sh(cluster, one, "nslookup unknown.example.org 2>&1 || true")


def test_dns_override_is_seen_and_forgotten(cluster: Cluster, one: str) -> None:
    def lookup() -> str:
        return sh(cluster, one, "nslookup index.example.org 2>&1 || true")

    cluster.dns_override("index.example.org", config.WORLD_INDEX)
    wait_until("override", lambda: config.WORLD_INDEX in lookup(), 10)
    cluster.dns_reset("index.example.org")
    wait_until("reset", lambda: "NXDOMAIN" in lookup(), 10)


def test_dns_is_a_pod_that_network_policies_can_select(cluster: Cluster) -> None:
    selector = ("-n", "kube-system", "-l", "k8s-app=kube-dns")
    assert cluster.kubectl("get", "pods", *selector, "-o", "name").startswith("pod/coredns")


def test_pod_reaches_the_world_but_not_this_machine(
    cluster: Cluster, one: str, world_server: str
) -> None:
    assert reaches(cluster, one, world_server)
    with serving([], config.HOST_LINK_ADDRESS.partition("/")[0]) as host:
        assert not reaches(cluster, one, host)


def test_network_policy_closes_world_and_pods_and_opens_again(
    cluster: Cluster, namespace: str, world_server: str
) -> None:
    server = pod("two")
    server["spec"]["containers"][0]["command"] = ["httpd", "-f", "-p", str(PORT), "-h", "/bin"]
    start(cluster, namespace, pod("one"), server)
    where = ("-n", namespace)
    address = cluster.kubectl("get", "pod", *where, "two", "-o", "jsonpath={.status.podIP}")
    targets = (world_server, f"http://{address}:{PORT}/busybox")
    assert [reaches(cluster, namespace, url) for url in targets] == [True, True]

    cluster.kubectl("apply", *where, "-f", "-", input=json.dumps(DENY_ALL))
    wait_until("closed", lambda: not any(reaches(cluster, namespace, url) for url in targets), 15)
    cluster.kubectl("delete", "networkpolicy", *where, "deny-all")
    wait_until("open", lambda: all(reaches(cluster, namespace, url) for url in targets), 15)


def test_user_namespace_maps_the_pods_root_to_an_unprivileged_uid(
    cluster: Cluster, namespace: str
) -> None:
    start(cluster, namespace, pod("one", hostUsers=False))
    inside, outside, length = sh(cluster, namespace, "cat /proc/self/uid_map").split()
    assert inside == "0"
    assert int(outside) >= 65536
    assert length == "65536"


def test_localhost_seccomp_profile_is_loaded_from_the_node(
    cluster: Cluster, namespace: str
) -> None:
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 122}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    file = f"/var/lib/kubelet/seccomp/{namespace}.json"
    cluster.node_exec(
        "sh", "-c", "mkdir -p /var/lib/kubelet/seccomp; cat >$0", file, stdin=json.dumps(profile)
    )
    seccomp = {"type": "Localhost", "localhostProfile": f"{namespace}.json"}
    start(cluster, namespace, pod("one", security={"seccompProfile": seccomp}))
    cluster.node_exec("rm", file)
    assert "Disk quota exceeded" in sh(cluster, namespace, "mkdir /tmp/x 2>&1 || true")


def test_pod_security_refuses_a_privileged_pod(cluster: Cluster, namespace: str) -> None:
    bad = json.dumps(pod("bad", security={"privileged": True, "allowPrivilegeEscalation": True}))
    with pytest.raises(ClusterError, match='violates PodSecurity "restricted'):
        cluster.kubectl("apply", "-n", namespace, "-f", "-", input=bad)


def test_audit_log_names_the_user_of_each_write(cluster: Cluster, namespace: str) -> None:
    lines = (json.loads(line) for line in cluster.paths.audit_log.read_text().splitlines())
    creations = [
        event["user"]["username"]
        for event in lines
        if event["verb"] == "create" and event.get("objectRef", {}).get("name") == namespace
    ]
    assert creations == ["ringfence-admin"]


def test_up_again_is_quick_and_touches_no_process(cluster: Cluster) -> None:
    def pids() -> list[str]:
        return [file.read_text() for file in sorted(cluster.paths.pids.glob("*.pid"))]

    before, begin = pids(), time.monotonic()
    assert not cluster.up()
    assert time.monotonic() - begin < 2
    assert pids() == before


@pytest.mark.parametrize("component", ["kubelet", "containerd", "apiserver", "scheduler"])
def test_up_starts_a_component_that_died(cluster: Cluster, component: str, namespace: str) -> None:
    cluster.stop(component)
    assert not cluster.running()
    cluster.up()
    assert cluster.running()
    start(cluster, namespace, pod("one"))


def test_unknown_component_is_refused_with_the_known_names(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="no component 'kublet'; there are: etcd, apiserver"):
        cluster.restart("kublet")


@pytest.mark.usefixtures("one")
def test_cluster_changes_no_kernel_setting_of_the_machine(cluster: Cluster) -> None:
    before = settings((cluster.state / "sysctl.before").read_text())
    now = settings(run("sysctl", "-ae").stdout)
    assert {name: now.get(name) for name in before} == before


def settings(text: str) -> dict[str, str]:
    """The settings in an output of sysctl that stay the same by themselves."""
    pairs = (line.partition("=")[::2] for line in text.splitlines())
    return {name: value for name, value in pairs if not name.startswith(VOLATILE)}
