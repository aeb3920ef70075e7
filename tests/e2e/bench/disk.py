"""What the hard disk limit costs at the start of a Sandbox, the kinds of storage taken in turn.

The ratios are to the soft limit, which needs no volume of its own.
"""

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
    median = {kind: statistics.median(values) for kind, values in times.items()}
    return {
        **{f"{kind}_p50_seconds": round(seconds, 3) for kind, seconds in median.items()},
        **{
            f"{kind}_ratio": round(seconds / median["soft"], 2)
            for kind, seconds in median.items()
            if kind != "soft"
        },
    }
