"""What the seccomp profile costs: CPU time of the same work under ours and under RuntimeDefault.

Two Pods of one image that differ in nothing else, asked in turns. It counts the CPU time of the
work itself, so that what else runs on the node disturbs as little as possible.
"""

import json
import statistics
from typing import Any

import support
from cluster import Cluster
from ringfence.profiles.seccomp import localhost_profile

Json = dict[str, Any]
RUNS = 21

_WORK = """
import fcntl, json, os, resource, subprocess, termios, time
def of_children(*argv):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
seconds = {
    "system_calls": of_children("dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=1000000"),
    "files": of_children("find", "/usr", "-size", "+1k"),
}
import numpy as np
numbers = np.random.default_rng(7)
matrix = numbers.random((600, 600))
begun = time.process_time()
for _ in range(3):
    np.linalg.inv(matrix).sort()
seconds["numpy"] = time.process_time() - begun
reader, writer = os.pipe()
begun = time.process_time()
for _ in range(300000):
    fcntl.ioctl(reader, termios.FIONREAD, b"1234")
seconds["calls_with_argument_rules"] = time.process_time() - begun
print(json.dumps(seconds))
"""
"""A million calls of read and of write; a walk that asks about every file; work without calls; and
the worst case: for `ioctl` our filter has 42 rules, and the kernel cannot remember its verdict.
"""


def measure(cluster: Cluster, namespace: str, image: str) -> Json:
    """Median CPU seconds of each work under both profiles, and ours over theirs."""
    profiles = {
        "default": {"type": "RuntimeDefault"},
        "own": {"type": "Localhost", "localhostProfile": localhost_profile()},
    }
    support.apply(cluster, *(_pod(f"cost-{n}", namespace, image, p) for n, p in profiles.items()))
    for name in profiles:
        ready = ("--for=condition=Ready", "--timeout=90s")
        cluster.kubectl("wait", "-n", namespace, f"pod/cost-{name}", *ready)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in profiles}
    for run in range(RUNS):
        # Whoever is first in a pair could gain or lose by it.
        for name in sorted(profiles, reverse=bool(run % 2)):
            said = support.python(cluster, namespace, f"cost-{name}", _WORK)
            found[name].append(json.loads(said))
    return {work: _compared(found, work) for work in found["own"][0]} | {"runs": RUNS}


def _compared(found: dict[str, list[dict[str, float]]], work: str) -> Json:
    median = {name: statistics.median(run[work] for run in runs) for name, runs in found.items()}
    pairs = zip(found["own"], found["default"], strict=True)
    return {
        "default_cpu_seconds": round(median["default"], 4),
        "own_cpu_seconds": round(median["own"], 4),
        "ratio": round(median["own"] / median["default"], 4),
        "ratio_of_pairs": round(statistics.median(a[work] / b[work] for a, b in pairs), 4),
    }


def _pod(name: str, namespace: str, image: str, profile: dict[str, str]) -> Json:
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 30000,
        "seccompProfile": profile,
    }
    container = {
        "name": "agent",
        "image": image,
        "command": ["sleep", "infinity"],
        # One thread: what is compared is the work, not how threads found each other.
        "env": [{"name": "OPENBLAS_NUM_THREADS", "value": "1"}],
        "securityContext": context,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
