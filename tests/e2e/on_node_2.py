"""The product on node 2: a class whose Sandboxes run there, under AppArmor, and looks from outside.

The machine is slow: its Pods take the time of `SECONDS`, and tests share them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import node_agent
import support
from cluster import ClusterError, config
from ringfence.profiles import apparmor

if TYPE_CHECKING:
    from cluster import Cluster

Json = dict[str, Any]

CLASS = "node-2"
SECONDS = 300.0
WRITE_RATE = 20 * 2**20
PLACEMENT: Json = {
    "nodeSelector": {config.NODE_2_KEY: config.NODE_2_NAME},
    "tolerations": [{"key": config.NODE_2_KEY, "operator": "Exists"}],
}


def sandbox_class(cluster: Cluster) -> Json:
    """The default class on node 2. There are no volumes of their own there, so the disk is soft."""
    found = json.loads(cluster.kubectl("get", "sandboxclass", "standard", "-o", "json"))
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "SandboxClass",
        "metadata": {"name": CLASS},
        "spec": {
            "images": found["spec"]["images"],
            "appArmor": {"mode": "Required"},
            "storage": {"mode": "Soft"},
            "io": {"writeBytesPerSecond": str(WRITE_RATE)},
            **PLACEMENT,
        },
    }


def wait_ready(cluster: Cluster, namespace: str, name: str) -> None:
    """Waits for a Sandbox by one watch: polling would take the time that the machine needs."""
    wait = ("wait", "-n", namespace, f"sandbox/{name}", "--for=condition=Ready")
    try:
        cluster.kubectl(*wait, f"--timeout={SECONDS:.0f}s")
    except ClusterError:
        support.wait_ready(cluster, namespace, name, 1)  # says why


def wait_posture(
    cluster: Cluster, namespace: str, status: str, seconds: float = SECONDS
) -> dict[str, Json]:
    """The conditions of a Pod made by hand once PostureVerified has the status, by one watch."""
    condition = f"--for=condition={node_agent.VERIFIED}={status}"
    cluster.kubectl("wait", "-n", namespace, "pod/by-hand", condition, f"--timeout={seconds:.0f}s")
    return node_agent.conditions(cluster, namespace)


def load_profile(cluster: Cluster, name: str, *, complain: bool = False) -> None:
    """Puts a copy of the agent's profile into node 2's kernel under a name; its own one, too."""
    text = apparmor.render().replace(apparmor.profile_name(), name)
    if complain:
        text = text.replace("flags=(", "flags=(complain,")
    cluster.node_2_exec("apparmor_parser", "--replace", "--skip-cache", stdin=text)


def mode_of_profile(cluster: Cluster, name: str) -> str:
    """The mode in which node 2's kernel has a profile; empty if it has none."""
    loaded = cluster.node_2_exec("cat", "/sys/kernel/security/apparmor/profiles").stdout
    modes = dict(line.rsplit(maxsplit=1) for line in loaded.splitlines())
    return modes.get(name, "").strip("()")


def limits_of_agent(cluster: Cluster, namespace: str, name: str) -> Json:
    """What node 2's kernel has for the agent container: files of its cgroup by name."""
    pod = support.get(cluster, "pod", namespace, name)
    assert pod
    (status,) = pod["status"]["containerStatuses"]
    container = status["containerID"].rpartition("/")[2]
    script = (
        f"cd $(find /sys/fs/cgroup -type d -path '*{pod['metadata']['uid']}*' -name '{container}')"
        " && head pids.max io.max cgroup.procs"
    )
    return _headed(cluster.node_2_exec("sh", "-c", script).stdout)


def _headed(text: str) -> dict[str, str]:
    """What `head` prints of several files."""
    parts = text.removeprefix("==> ").split("\n==> ")
    return {name: body.strip() for name, _, body in (part.partition(" <==\n") for part in parts)}


def free_writes_per_second(cluster: Cluster, size: int) -> float:
    """Bytes that node 2 itself writes to the disk of its Pods."""
    script = (
        "cut -d' ' -f1 /proc/uptime; cd /var/lib/kubelet;"
        f" dd if=/dev/zero of=free bs=1M count={size >> 20} oflag=direct 2>/dev/null; rm free;"
        " cut -d' ' -f1 /proc/uptime"
    )
    begun, ended = map(float, cluster.node_2_exec("sh", "-c", script).stdout.split())
    return size / max(ended - begun, 0.01)
