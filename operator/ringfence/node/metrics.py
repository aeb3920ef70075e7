"""Metrics of the node agent. No label holds a name of an object."""

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from ringfence import __version__

_SECONDS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)

# Else each counter comes with a second series, which nothing reads.
disable_created_metrics()  # type: ignore[no-untyped-call]


class NodeMetrics:
    """All metrics in one registry."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self.sandboxes = Gauge(
            "ringfence_node_sandboxes", "Sandbox Pods on the node.", registry=registry
        )
        self.posture_seconds = Histogram(
            "ringfence_node_posture_seconds",
            "From the start of the agent container's first process to the API server's answer "
            "that its posture is verified.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.ailing = Counter(
            "ringfence_node_ailing_reports",
            "Reports that a Sandbox lacks something that must hold.",
            registry=registry,
        )
        self.fence_seconds = Histogram(
            "ringfence_node_fence_seconds",
            "From the start of a Pod's first process, when its network exists, until its packet "
            "filter is in place.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.fence_repairs = Counter(
            "ringfence_node_fence_repairs",
            "Packet filters that somebody had changed and that were put in place again.",
            registry=registry,
        )
        self.refused = Counter(
            "ringfence_node_refused_packets",
            "Packets that the packet filters of Sandboxes refused.",
            registry=registry,
        )
        self.missing = Gauge(
            "ringfence_node_missing_profiles", "Profiles that are not in place.", registry=registry
        )
        self.writes = Counter(
            "ringfence_node_writes",
            "Writes to the API server by what (node, pod) and result (ok, failed).",
            ["what", "result"],
            registry=registry,
        )
        self.errors = Counter(
            "ringfence_node_errors", "Looks at a Pod that failed.", registry=registry
        )
        Gauge("ringfence_node_build_info", "Always 1.", ["version"], registry=registry).labels(
            __version__
        ).set(1)

    @classmethod
    def unregistered(cls) -> "NodeMetrics":
        """Metrics in a registry of their own."""
        return cls(CollectorRegistry())

    def exposition(self) -> bytes:
        """The text that a scrape gets."""
        return generate_latest(self._registry)
