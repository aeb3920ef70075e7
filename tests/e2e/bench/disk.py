"""What the hard disk limit costs at the start of a Sandbox, the kinds of storage taken in turn."""

import statistics
import time
from collections.abc import Callable
from typing import Any, Final

import support
from bench.watch import ReadyWatch
from cluster import Cluster, config

Json = dict[str, Any]
RUNS: Final = 10
_STORAGE: Final[dict[str, Json]] = {
    "soft": {"mode": "Soft"},
    "hard": {},
    "hard_wait_for_consumer": {"storageClassName": config.WAITING_STORAGE_CLASS},
}


def measure(cluster: Cluster, namespace: str, make_class: Callable[[str, Json], Json]) -> Json:
    """Median seconds from create to Ready for each kind of storage.

    Args:
        cluster: With the product on it.
        namespace: Where to make the Sandboxes; they are left to its end.
        make_class: A SandboxClass of this name with this storage.
    """
    classes = {kind: f"bench-{kind.replace('_', '-')}" for kind in _STORAGE}
    support.apply(cluster, *(make_class(classes[k], s) for k, s in _STORAGE.items()))
    times: dict[str, list[float]] = {kind: [] for kind in _STORAGE}
    try:
        with ReadyWatch(cluster, "sandboxes", namespace) as watch:
            for run in range(RUNS):
                for kind, class_name in classes.items():
                    name = f"{class_name}-{run}"
                    begun = time.monotonic()
                    support.apply(cluster, support.body(namespace, name, className=class_name))
                    watch.wait({name}, 60)
                    times[kind].append(watch.times[name] - begun)
                    cluster.kubectl("delete", "sandbox", name, "-n", namespace, "--wait=false")
    finally:
        cluster.kubectl("delete", "sandboxclass", *classes.values())
    return {f"{k}_p50_seconds": round(statistics.median(v), 3) for k, v in times.items()}
