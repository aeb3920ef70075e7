"""What the node agent costs and how fast it is: memory, idle CPU, time to the verified posture.

Times are those of the node's own containerd and of the API server's audit log, so neither polling
nor the rounding of Kubernetes' timestamps is in them.
"""

import json
import re
import statistics
import time
from datetime import datetime
from typing import Any, Final

import node_agent
import support
from cluster import Cluster

Json = dict[str, Any]

_CONTAINERS: Final = "/var/lib/containerd/io.containerd.grpc.v1.cri/containers"
_IDLE_SECONDS: Final = 60.0


def measure(cluster: Cluster, namespace: str, count: int, one_by_one: int) -> Json:
    """Starts Pods in the form of a Sandbox's, the first ones one after the other, and measures.

    The proxies in them do nothing: the node agent's work is the same, and 50 Envoys would need more
    inotify instances than many machines give to one user.
    """
    names = [f"node-{number}" for number in range(count)]
    alone = set(names[:one_by_one])
    for name in names:
        body = node_agent.body(cluster, namespace)
        body["metadata"]["name"] = name
        node_agent.create(cluster, body)
        if name in alone:
            _wait_verified(cluster, namespace, name)
    for name in names:
        _wait_verified(cluster, namespace, name)
    time.sleep(15)  # the last start is over, a scan has seen all
    return {
        "sandboxes": count,
        "rss_mib": round(_memory(cluster) / 1024, 1),
        "idle_cpu_percent_of_a_core": round(_idle_cpu(cluster), 2),
        "start_to_verified_seconds": _posture(cluster, namespace, alone),
        "network_to_fenced": _fence(cluster),
    }


def _fence(cluster: Cluster) -> Json:
    """From the start of a Pod's first process, when its network exists, to its packet filter."""
    found = {name: float(value) for name, value in _FENCE.findall(_metrics(cluster))}
    count = found["count"]
    return {
        "count": int(count),
        "mean_seconds": round(found["sum"] / count, 3),
        "within_150_ms": round(found['bucket{le="0.15"}'] / count, 3),
        "within_300_ms": round(found['bucket{le="0.3"}'] / count, 3),
    }


_FENCE: Final = re.compile(r"^ringfence_node_fence_seconds_(\S+) (\S+)$", re.MULTILINE)
_GET: Final = (
    "exec 3<>/dev/tcp/127.0.0.1/8082; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
)


def _metrics(cluster: Cluster) -> str:
    """What a scrape of the node agent gets; asked in its own network, which lets nobody else in."""
    inside = ("nsenter", f"--net=/proc/{node_agent.process(cluster)}/ns/net", "--")
    return cluster.node_exec(*inside, "bash", "-c", _GET).stdout


def _wait_verified(cluster: Cluster, namespace: str, name: str) -> None:
    def verified() -> bool:
        said = node_agent.conditions(cluster, namespace, name).get(node_agent.VERIFIED, {})
        return said.get("status") == "True"

    support.poll(f"{name} to be verified", verified, 200)


def _memory(cluster: Cluster) -> int:
    """Resident set in KiB."""
    status = cluster.node_exec("cat", f"/proc/{node_agent.process(cluster)}/status").stdout
    return next(int(line.split()[1]) for line in status.splitlines() if line[:6] == "VmRSS:")


def _idle_cpu(cluster: Cluster) -> float:
    before, begun = _cpu_seconds(cluster), time.monotonic()
    time.sleep(_IDLE_SECONDS)
    return 100 * (_cpu_seconds(cluster) - before) / (time.monotonic() - begun)


def _cpu_seconds(cluster: Cluster) -> float:
    stat = cluster.node_exec("cat", f"/proc/{node_agent.process(cluster)}/stat").stdout
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / 100


def _posture(cluster: Cluster, namespace: str, names: set[str]) -> Json:
    """From the moment the runtime had started the agent to the API server's answer."""
    answered = _answers(cluster, namespace)
    pods = support.items(cluster, "pods", namespace)
    seconds = sorted(
        answered[pod["metadata"]["name"]] - _started(cluster, pod)
        for pod in pods
        if pod["metadata"]["name"] in names
    )
    return {
        "count": len(seconds),
        "p50": round(statistics.median(seconds), 3),
        "max": round(seconds[-1], 3),
    }


def _started(cluster: Cluster, pod: Json) -> float:
    (id_,) = [
        s["containerID"].rpartition("/")[2]
        for s in pod["status"]["containerStatuses"]
        if s["name"] == "agent"
    ]
    status = json.loads(cluster.node_exec("cat", f"{_CONTAINERS}/{id_}/status").stdout)
    return float(status["StartedAt"]) / 1e9


def _answers(cluster: Cluster, namespace: str) -> dict[str, float]:
    """When the API server first took the node agent's word about each Pod."""
    found: dict[str, float] = {}
    with (cluster.state / "audit.log").open() as log:
        for line in log:
            event = json.loads(line) if node_agent.AGENT in line else {}
            target = event.get("objectRef", {})
            done = event.get("verb") == "patch" and event.get("stage") == "ResponseComplete"
            if done and target.get("resource") == "pods" and target.get("namespace") == namespace:
                moment = datetime.fromisoformat(event["stageTimestamp"]).timestamp()
                found.setdefault(target["name"], moment)
    return found
