"""What `ringfence exec` costs beside `kubectl exec`: one command, one Sandbox, in turns."""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import support
from cluster import Cluster

Json = dict[str, Any]

RUNS: Final = 40


def measure(cluster: Cluster, namespace: str) -> Json:
    """Medians and their ratio, of elapsed time and of processor time here."""
    name = support.sandbox(cluster, namespace, "cli", className="bench")
    where = ["-n", namespace, name]
    ringfence = str(Path(sys.executable).with_name("ringfence"))
    commands = {
        "kubectl": [
            str(cluster.paths.bin / "kubectl"),
            "exec",
            *where,
            "-c",
            "agent",
            "--",
            "true",
        ],
        "ringfence": [ringfence, "exec", *where, "--", "true"],
    }
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in commands}
    for _ in range(RUNS):
        for kind, argv in commands.items():
            times[kind].append(_run(argv, environment))
    cluster.kubectl("delete", "sandbox", name, "-n", namespace)
    elapsed = {kind: statistics.median(t for t, _ in found) for kind, found in times.items()}
    processor = {kind: statistics.median(t for _, t in found) for kind, found in times.items()}
    return {
        "runs": RUNS,
        **{f"{kind}_seconds": round(value, 3) for kind, value in elapsed.items()},
        **{f"{kind}_cpu_seconds": round(value, 3) for kind, value in processor.items()},
        "ratio": round(elapsed["ringfence"] / elapsed["kubectl"], 2),
    }


def _run(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(argv, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return time.monotonic() - begun, spent
