"""Runs every benchmark against the running product and prints one JSON object.

Ratios are of figures measured alternately in the same run on the same node. Progress goes to
stderr.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import product
import support
from bench import cli, disk, node, profile_cost
from bench.watch import ReadyWatch
from bench.writes import OPERATOR, WriteCount
from cluster import Cluster, config

Json = dict[str, Any]
NAMESPACE = "bench"
SERIAL_RUNS = 15
AT_ONCE = 40
MANY = 500
ON_A_NODE = 50
_PARTS = ("serial", "disk", "at_once", "many", "node", "at_rest", "profile", "cli")
_NOWHERE: Json = {
    "nodeSelector": {"ringfence.dev/no": "node"},
    # Volumes that wait for a node are never made.
    "storage": {"storageClassName": config.WAITING_STORAGE_CLASS},
}


def main() -> None:
    """Brings the product up if it is not, measures, cleans up."""
    chosen = _chosen()
    started = time.monotonic()
    cluster = product.up()

    def step(text: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - started:6.1f} s] {text}\n")

    image = _image(cluster)
    support.apply(cluster, _class("bench", image), _class("bench-nowhere", image, **_NOWHERE))
    cluster.kubectl("create", "namespace", NAMESPACE)
    result: Json = {}
    try:
        for name, (text, measure) in _parts(cluster, image).items():
            if name not in chosen:
                continue
            step(text)
            result[name] = measure()
            step(f"{name}: {json.dumps(result[name])}")  # a later part that fails loses nothing
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=300s")
        cluster.kubectl("delete", "sandboxclass", "bench", "bench-nowhere", "--ignore-not-found")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def _chosen() -> list[str]:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[[], *_PARTS], help="default: all of them")
    parts: list[str] = parser.parse_args().part
    return parts or list(_PARTS)


def _parts(cluster: Cluster, image: str) -> dict[str, tuple[str, Callable[[], Json]]]:
    return {
        "serial": (
            f"{SERIAL_RUNS} bare Pods and {SERIAL_RUNS} Sandboxes, one after the other",
            lambda: _serial(cluster, image),
        ),
        "disk": (
            f"{disk.RUNS} Sandboxes of each kind of storage, in turn",
            lambda: disk.measure(cluster, NAMESPACE, lambda n, s: _class(n, image, storage=s)),
        ),
        "at_once": (
            f"{AT_ONCE} bare Pods, then {AT_ONCE} Sandboxes, at once",
            lambda: _at_once(cluster, image),
        ),
        "many": (f"{MANY} Sandboxes that no node takes", lambda: _many(cluster)),
        "node": (
            f"the node agent with {ON_A_NODE} Sandboxes, {SERIAL_RUNS} of them one by one",
            lambda: _node(cluster),
        ),
        "at_rest": (
            "writes of 60 s of rest and of a restart of the operator",
            lambda: _at_rest(cluster),
        ),
        "profile": (
            f"{profile_cost.RUNS} times the same work under RuntimeDefault and under our profile",
            lambda: profile_cost.measure(cluster, NAMESPACE, image),
        ),
        "cli": (
            f"{cli.RUNS} times `kubectl exec` and `ringfence exec`, in turns",
            lambda: cli.measure(cluster, NAMESPACE),
        ),
    }


def _image(cluster: Cluster) -> str:
    found = json.loads(cluster.kubectl("get", "sandboxclass", "standard", "-o", "json"))
    image: str = found["spec"]["images"]["default"]
    return image


def _bare_pod(name: str, image: str) -> Json:
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "agent", "image": image, "securityContext": context}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }


def _sandbox(name: str, image: str) -> Json:  # noqa: ARG001 - the class names the image
    return support.body(NAMESPACE, name, className="bench")


def _serial(cluster: Cluster, image: str) -> Json:
    times: dict[str, list[float]] = {"pod": [], "sandbox": []}
    count = WriteCount(cluster, NAMESPACE)
    with (
        ReadyWatch(cluster, "pods", NAMESPACE) as pods,
        ReadyWatch(cluster, "sandboxes", NAMESPACE) as sandboxes,
    ):
        for run in range(SERIAL_RUNS):
            for kind, build, watch in (
                ("pod", _bare_pod, pods),
                ("sandbox", _sandbox, sandboxes),
            ):
                name = f"{kind}-{run}"
                begun = time.monotonic()
                support.apply(cluster, build(name, image))
                watch.wait({name}, 60)
                times[kind].append(watch.times[name] - begun)
        writes = count.by_verb()
        _delete(cluster, pods)
    return _compared(times) | {
        "writes_per_sandbox": {k: round(n / SERIAL_RUNS, 2) for k, n in sorted(writes.items())}
    }


def _compared(times: dict[str, list[float]]) -> Json:
    median = {kind: round(statistics.median(values), 3) for kind, values in times.items()}
    return {
        "pod_p50_seconds": median["pod"],
        "sandbox_p50_seconds": median["sandbox"],
        "ratio": round(median["sandbox"] / median["pod"], 2),
    }


def _delete(cluster: Cluster, pods: ReadyWatch) -> None:
    names = set(pods.seen)
    cluster.kubectl("delete", "sandboxes", "--all", "-n", NAMESPACE)
    cluster.kubectl("delete", "pods", "--all", "-n", NAMESPACE, "--wait=false")
    pods.wait_gone(names, 400)


def _node(cluster: Cluster) -> Json:
    with ReadyWatch(cluster, "pods", NAMESPACE) as pods:
        found = node.measure(cluster, NAMESPACE, ON_A_NODE, SERIAL_RUNS)
        _delete(cluster, pods)
    return found


def _at_rest(cluster: Cluster) -> Json:
    name = support.sandbox(cluster, NAMESPACE, "resting")
    time.sleep(5)
    count = WriteCount(cluster, NAMESPACE)
    time.sleep(60)
    rest = sum(count.by_verb().values())
    count = WriteCount(cluster, NAMESPACE)
    where = ("-n", product.NAMESPACE)
    cluster.kubectl("rollout", "restart", "deployment/ringfence-operator", *where)
    cluster.kubectl("rollout", "status", "deployment/ringfence-operator", *where, "--timeout=90s")
    time.sleep(10)
    restart = sum(count.by_verb().values())
    cluster.kubectl("delete", "sandbox", name, "-n", NAMESPACE)
    return {"writes_in_60_s": rest, "writes_of_a_restart": restart, "user": OPERATOR}


def _at_once(cluster: Cluster, image: str) -> Json:
    seconds: dict[str, float] = {}
    for kind, plural, build in (
        ("pod", "pods", _bare_pod),
        ("sandbox", "sandboxes", _sandbox),
    ):
        names = [f"many-{kind}-{n}" for n in range(AT_ONCE)]
        with (
            ReadyWatch(cluster, "pods", NAMESPACE) as pods,
            ReadyWatch(cluster, plural, NAMESPACE) as watch,
        ):
            begun = time.monotonic()
            support.apply(cluster, *(build(name, image) for name in names))
            watch.wait(set(names), 180)
            seconds[kind] = round(max(watch.times[n] for n in names) - begun, 2)
            _delete(cluster, pods)
    ratio = round(seconds["sandbox"] / seconds["pod"], 2)
    return {"count": AT_ONCE, **{f"{k}_seconds": v for k, v in seconds.items()}, "ratio": ratio}


def _many(cluster: Cluster) -> Json:
    """Sandbox to Pod object, without a kubelet: the class asks for a node that does not exist."""
    before = _operator_rss(cluster)
    names = {f"nowhere-{n}" for n in range(MANY)}
    bodies = [support.body(NAMESPACE, n, className="bench-nowhere") for n in sorted(names)]
    with ReadyWatch(cluster, "pods", NAMESPACE) as pods:
        # All are there before the operator is: kubectl's own pace must not limit it.
        _scale_operator(cluster, 0)
        support.apply(cluster, *bodies)
        _scale_operator(cluster, 1)
        pods.wait_seen(names, 300)
        first = min(pods.seen[n] for n in names)
        rate = MANY / (max(pods.seen[n] for n in names) - first)
        time.sleep(20)
        after = _operator_rss(cluster)
        _delete(cluster, pods)
    return {
        "count": MANY,
        "sandboxes_per_second": round(rate, 1),
        "operator_rss_mib": after,
        "operator_rss_mib_before": before,
    }


def _scale_operator(cluster: Cluster, replicas: int) -> None:
    target = ("deployment/ringfence-operator", "-n", product.NAMESPACE)
    cluster.kubectl("scale", *target, f"--replicas={replicas}")
    cluster.kubectl("rollout", "status", *target, "--timeout=90s")


def _class(name: str, image: str, **spec: Any) -> Json:
    """A class that reserves so little that all Sandboxes fit on one node of two cores."""
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "SandboxClass",
        "metadata": {"name": name},
        "spec": {"images": {"default": image}, "requests": {"cpu": "10m"}, **spec},
    }


def _operator_rss(cluster: Cluster) -> float:
    """MiB of the operator's process, as the node's kernel counts it."""
    script = (
        "for p in /proc/[0-9]*; do "
        "if tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q 'bin/ringfence-operator'; "
        "then awk '/VmRSS/ {print $2}' $p/status; fi; done"
    )
    sizes = [int(line) for line in cluster.node_exec("sh", "-c", script).stdout.split()]
    return round(max(sizes) / 1024, 1)


if __name__ == "__main__":
    main()
