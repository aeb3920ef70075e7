"""What a proxy in a Pod of its own costs at the start of a Sandbox, both modes taken in turn."""

import statistics
import time
from collections.abc import Callable
from typing import Any, Final

import support
from bench.watch import ReadyWatch
from bench.writes import WriteCount
from cluster import Cluster

Json = dict[str, Any]
RUNS: Final = 10
_MODES: Final = ("Sidecar", "Gateway")


def measure(cluster: Cluster, namespace: str, make_class: Callable[[str, Json], Json]) -> Json:
    """Seconds from create to Ready and the operator's writes per Sandbox, for each mode.

    Args:
        cluster: With the product on it.
        namespace: Where to make the Sandboxes; they are left to its end.
        make_class: A SandboxClass of this name with this egress.
    """
    classes = {mode: f"bench-{mode.lower()}" for mode in _MODES}
    support.apply(cluster, *(make_class(name, {"mode": mode}) for mode, name in classes.items()))
    times: dict[str, list[float]] = {mode: [] for mode in _MODES}
    writes: dict[str, list[int]] = {mode: [] for mode in _MODES}
    try:
        with ReadyWatch(cluster, "sandboxes", namespace) as watch:
            for run in range(RUNS):
                for mode, class_name in classes.items():
                    name, count = f"{class_name}-{run}", WriteCount(cluster, namespace)
                    begun = time.monotonic()
                    support.apply(cluster, support.body(namespace, name, className=class_name))
                    watch.wait({name}, 90)
                    times[mode].append(watch.times[name] - begun)
                    time.sleep(1)  # the Event of the transition follows the status
                    writes[mode].append(sum(count.by_verb().values()))
                    cluster.kubectl("delete", "sandbox", name, "-n", namespace)
    finally:
        cluster.kubectl("delete", "sandboxclass", *classes.values())
    return _summary(times, writes)


def _summary(times: dict[str, list[float]], writes: dict[str, list[int]]) -> Json:
    p50 = {mode: statistics.median(found) for mode, found in times.items()}
    return {
        **{f"{mode.lower()}_p50_seconds": round(p50[mode], 3) for mode in _MODES},
        "ratio": round(p50["Gateway"] / p50["Sidecar"], 2),
        **{f"{mode.lower()}_writes": statistics.median(writes[mode]) for mode in _MODES},
        "runs": RUNS,
    }
