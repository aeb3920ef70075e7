"""What a process inside a Sandbox is, sees and may reach, as it finds out for itself."""

import json

import pytest

import support
from cluster import Cluster

pytestmark = pytest.mark.usefixtures("ringfence")

STATUS = """
import json
lines = (line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({name: value.split() for name, value in lines}))
"""

REACH = """
import json, socket
def reach(host, port):
    try:
        socket.create_connection((host, port), timeout=2).close()
        return True
    except OSError:
        return False
print(json.dumps({name: reach(*place) for name, place in %r.items()}))
"""

WRITE = """
import json, os
def write(path):
    try:
        with open(os.path.join(path, ".probe"), "w") as file:
            file.write("x")
        return True
    except OSError:
        return False
print(json.dumps({path: write(path) for path in %r}))
"""


def test_agent_is_nobody_and_cannot_become_more(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    found = support.get(cluster, "sandbox", namespace, name)
    assert found is not None
    uid = found["status"]["uid"]
    status = json.loads(support.python(cluster, namespace, name, STATUS))
    assert status["Uid"] == [str(uid)] * 4
    assert status["Gid"] == [str(uid)] * 4
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"]
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind][0], 16) == 0, kind


def test_two_sandboxes_have_two_uids(cluster: Cluster, namespace: str) -> None:
    names = [support.sandbox(cluster, namespace, name) for name in ("one", "two")]
    bodies = [support.get(cluster, "sandbox", namespace, name) for name in names]
    uids = {body["status"]["uid"] for body in bodies if body}
    assert len(uids) == 2


def test_root_of_the_sandbox_is_nobody_on_the_node(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    inside, outside, length = support.execute(
        cluster, namespace, name, "cat", "/proc/self/uid_map"
    ).split()
    assert inside == "0"
    assert int(outside) >= 65536
    assert length == "65536"


def test_only_workspace_and_temporary_files_are_writable(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    paths = ["/", "/etc", "/usr/bin", "/home/sandbox", "/var", "/proc/sys/kernel", "/work", "/tmp"]  # noqa: S108
    found = json.loads(support.python(cluster, namespace, name, WRITE % paths))
    assert [path for path, writable in found.items() if writable] == ["/work", "/tmp"]  # noqa: S108


def test_no_token_is_in_reach(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    listing = support.execute(
        cluster, namespace, name, "sh", "-c", "ls -A /var/run/secrets /run/secrets 2>&1; true"
    )
    assert "kubernetes.io" not in listing


def test_agent_cannot_read_the_proxys_configuration(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    listing = support.execute(cluster, namespace, name, "sh", "-c", "ls /etc/envoy 2>&1; true")
    assert "envoy.yaml" not in listing


def test_cluster_and_neighbours_are_out_of_reach(cluster: Cluster, namespace: str) -> None:
    listen = "import socket, time; socket.create_server(('', 8000)); time.sleep(3600)"
    support.sandbox(cluster, namespace, "neighbour", command=["python3", "-c", listen])
    neighbour = support.get(cluster, "pod", namespace, "neighbour")
    node = json.loads(cluster.kubectl("get", "node", "node-1", "-o", "json"))
    assert neighbour is not None
    address = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
    places = {
        "neighbour": (neighbour["status"]["podIP"], 8000),
        "kubelet": (address, 10250),
        "apiserver": ("10.96.0.1", 443),
        "dns": ("10.96.0.10", 9153),
        "metadata": ("169.254.169.254", 80),
        "public, other port": ("203.0.113.10", 80),
    }
    name = support.sandbox(cluster, namespace)
    found = json.loads(support.python(cluster, namespace, name, REACH % places))
    assert [place for place, reached in found.items() if reached] == []


def test_agent_has_no_dns(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    program = (
        "import socket\n"
        "try: print(socket.getaddrinfo('kubernetes.default.svc.cluster.local', 443))\n"
        "except OSError as error: print('refused', error)\n"
    )
    assert support.python(cluster, namespace, name, program).startswith("refused")


def test_memory_bomb_ends_inside_the_sandbox(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace, resources={"memory": "256Mi"})
    program = "try:\n  x = bytearray(10**9)\n  print('took it')\nexcept MemoryError: print('no')"
    script = f"python3 -c {json.dumps(program)} || echo killed"
    said = support.execute(cluster, namespace, name, "sh", "-c", script)
    assert "took it" not in said
    support.wait_ready(cluster, namespace, name)
