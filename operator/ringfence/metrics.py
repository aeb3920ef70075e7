"""Metrics of the operator: their definitions, and their page in the docs.

No label may hold a name of an object: the number of series must not grow with the cluster.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, get_args

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily

from ringfence import __version__
from ringfence.node.metrics import NodeMetrics
from ringfence.status import Phase

_DURATIONS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
PAGE: Final = Path("docs/metrics.md")
_OWN: Final = "ringfence_"

# Else each counter comes with a second series, which nothing reads.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """All metrics in one registry; also the observer of the work queue."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self._reconciles = Counter(
            "ringfence_reconcile",
            "Reconciles by result: success, requeue or error.",
            ["result"],
            registry=registry,
        )
        self._duration = Histogram(
            "ringfence_reconcile_duration_seconds",
            "Duration of one reconcile.",
            buckets=_DURATIONS,
            registry=registry,
        )
        self._depth = Gauge(
            "ringfence_workqueue_depth", "Sandboxes that wait for a worker.", registry=registry
        )
        self._oldest = Gauge(
            "ringfence_workqueue_oldest_seconds",
            "Age of the oldest Sandbox that waits or is worked on.",
            registry=registry,
        )
        self._retries = Counter(
            "ringfence_workqueue_retries", "Reconciles set back after an error.", registry=registry
        )
        self._calls = Counter(
            "ringfence_api_requests",
            "Calls to the API server by verb, kind and HTTP status; 0: no answer.",
            ["verb", "kind", "code"],
            registry=registry,
        )
        Gauge("ringfence_build_info", "Always 1.", ["version"], registry=registry).labels(
            __version__
        ).set(1)
        self._sandboxes = _Sandboxes()
        registry.register(self._sandboxes)
        for result in ("success", "requeue", "error"):
            self._reconciles.labels(result)

    def reconciled(self, result: str, seconds: float) -> None:
        """One reconcile ended."""
        self._reconciles.labels(result).inc()
        self._duration.observe(seconds)

    def retried(self) -> None:
        """A reconcile failed and was set back."""
        self._retries.inc()

    def called(self, verb: str, kind: str, code: int) -> None:
        """One call to the API server ended."""
        self._calls.labels(verb, kind, str(code)).inc()

    def read_from(
        self,
        depth: Callable[[], float],
        oldest: Callable[[], float],
        phases: Callable[[], dict[str, int]],
    ) -> None:
        """Gives the gauges their sources, which are asked on each scrape."""
        self._depth.set_function(depth)
        self._oldest.set_function(oldest)
        self._sandboxes.phases = phases

    def exposition(self) -> bytes:
        """The text that a scrape gets. To be called in the event loop, which owns the sources."""
        return generate_latest(self._registry)


class _Sandboxes:
    """Counts on each scrape, so that no Sandbox can be counted twice or forgotten."""

    phases: Callable[[], dict[str, int]] = dict

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("ringfence_sandboxes", "Sandboxes by phase.", labels=["phase"])
        found = self.phases()
        for phase in get_args(Phase):
            family.add_metric([phase], found.get(phase, 0))
        yield family


def page() -> str:
    """The docs page: a table made from the definitions."""
    operator, node = CollectorRegistry(), CollectorRegistry()
    Metrics(operator).called("get", "Sandbox", 200)
    NodeMetrics(node).writes.labels("node", "ok")
    return "\n".join([_HEAD, *_rows(operator), _NODE_HEAD, *_rows(node), ""])


def _rows(registry: CollectorRegistry) -> list[str]:
    return sorted(_row(m) for m in registry.collect() if m.name.startswith(_OWN))


_HEAD: Final = """# Metrics

Served as `/metrics` on the port `RINGFENCE_METRICS_PORT` (8080). Beside these there are the usual
`process_*` and `python_*` series. This page is generated: `python -m ringfence.metrics`.

| metric | type | labels | meaning |
|---|---|---|---|"""

_NODE_HEAD: Final = """
## Node agent

Served as `/metrics` on the port `RINGFENCE_NODE_PORT` (8082) of each of its Pods.

| metric | type | labels | meaning |
|---|---|---|---|"""


def _row(metric: Metric) -> str:
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
    listed = ", ".join(f"`{label}`" for label in sorted(labels))
    return f"| `{name}` | {metric.type} | {listed} | {metric.documentation} |"


def main() -> int:
    """Writes the page, or checks it."""
    parser = argparse.ArgumentParser(prog="python -m ringfence.metrics", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when the page is stale")
    parser.add_argument("--page", type=Path, default=PAGE, help=f"default: {PAGE}")
    options = parser.parse_args()
    if options.page.exists() and options.page.read_text() == page():
        return 0
    if not options.check:
        options.page.parent.mkdir(exist_ok=True)
        options.page.write_text(page())
    sys.stdout.write(f"{'stale' if options.check else 'wrote'}: {options.page}\n")
    return 1 if options.check else 0


if __name__ == "__main__":
    sys.exit(main())
