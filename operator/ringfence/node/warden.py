"""Looks after the Sandbox Pods of the node: brings their limits into force and judges them.

Every look starts from what the kernel says now, so it does not matter what triggered it or what was
missed before. It talks to the kernel alone, never to the API server.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from ringfence import names
from ringfence.node import containers, limits, posture
from ringfence.node.cgroup_tree import CgroupTree
from ringfence.node.fences import Fences, Repairs
from ringfence.node.inspector import SETTLE_SECONDS, Container, Inspector
from ringfence.node.pods import SandboxPod
from ringfence.node.posture import Finding, Node

_STEP_SECONDS: Final = 0.01
_SLOW_STEP_SECONDS: Final = 0.1
_FAST_SECONDS: Final = 2.0
"""How long a new container is looked at with each short step."""
_START_SECONDS: Final = 30.0
"""How long a container may take to start before it is judged as it is."""


@dataclass(frozen=True)
class Look:
    """What a look at a Pod brought."""

    findings: list[Finding] | None = None
    """None: there is nothing to say yet, or any more."""
    again: float | None = None
    """Seconds until the next look. None: when something happens."""
    fenced: Repairs = field(default_factory=Repairs)
    """What had to be done about the packet filter."""
    network_age: float | None = None
    """Seconds that the Pod's network had existed when its filter was installed."""


class Warden:
    """Looks after the Pods of one node."""

    def __init__(self, tree: CgroupTree, inspector: Inspector, fences: Fences) -> None:
        self._tree = tree
        self._inspector = inspector
        self._fences = fences
        self._paths: dict[str, str] = {}
        """Of the cgroup of each Pod, by uid."""
        self._known: dict[str, dict[str, Container]] = {}

    def nurseries(self) -> list[str]:
        """Directories in which new Pods show."""
        return [self._tree.directory(path) for path in self._tree.pod_parents()]

    def scan(self, uids: Iterable[str]) -> set[str]:
        """Finds the cgroups of these Pods, and forgets those that went; returns the new ones."""
        wanted, before = set(uids), self._paths
        self._paths = {uid: path for uid, path in self._tree.pods().items() if uid in wanted}
        self._known = {uid: known for uid, known in self._known.items() if uid in self._paths}
        self._fences.keep(self._paths)
        return self._paths.keys() - before.keys()

    def places(self, uid: str) -> list[tuple[str, bool]]:
        """Where a change concerns a Pod, and whether the place is a directory."""
        path = self._paths.get(uid)
        if path is None:
            return []
        containers = [c.path for c in self._known.get(uid, {}).values()]
        limits = [(self._tree.pids_file(where), False) for where in (path, *containers)]
        return [(self._tree.directory(path), True), *limits]

    def announced(self, uid: str) -> float | None:
        """Age of the agent container, the first time that this is asked."""
        found = self._known.get(uid, {}).values()
        agent = next((c for c in found if c.name == names.AGENT_CONTAINER), None)
        if agent is None or agent.announced:
            return None
        agent.announced = True
        return self._inspector.age(agent)

    def look(self, pod: SandboxPod, node: Node, now: float) -> Look:
        """Brings the limits of a Pod into force and reads back what is in force.

        Args:
            pod: What the Pod is meant to be.
            node: What to compare it with.
            now: Monotonic time.
        """
        path = self._paths.get(pod.uid)
        if path is None or pod.ended:
            return Look()
        wanted = pod.limits or limits.FALLBACK
        # The Pod first: whoever sees a limit in its own cgroup may rely on the Pod having one.
        self._tree.lower_pids(path, limits.pod_pids(wanted))
        found = self._containers(pod.uid, path, now)
        for container in found:
            if self._inspector.status(container) is None or container.name is None:
                self._inspector.identify(container, pod.uid)
            self._tree.lower_pids(container.path, limits.container_pids(container.name, wanted))
        fenced, age = self._fence(pod, found, node)
        look = self._judged(pod, found, node, now)
        return replace(look, fenced=fenced, network_age=age)

    def _fence(
        self, pod: SandboxPod, found: list[Container], node: Node
    ) -> tuple[Repairs, float | None]:
        """Before anything is judged: the proof in the Pod waits for it."""
        if pod.user_namespace:
            users = self._inspector.own_namespaces(found, "user", node.namespaces)
            self._fences.limit(pod, users)
        networks = self._inspector.own_namespaces(found, "net", node.namespaces)
        fenced = self._fences.care(pod, networks)
        return fenced, self._inspector.oldest(networks.values()) if fenced.installed else None

    def _judged(self, pod: SandboxPod, found: list[Container], node: Node, now: float) -> Look:
        agent = next((c for c in found if c.name == names.AGENT_CONTAINER), None)
        judged = self._judge(agent, pod, node, now) if agent else Look()
        steps = [_step(c, now) for c in found if c.init is None]
        return Look(judged.findings, _soonest([judged.again, *steps]))

    def _containers(self, uid: str, path: str, now: float) -> list[Container]:
        before = self._known.get(uid, {})
        self._known[uid] = {
            id_: before.get(id_) or Container(where, now)
            for id_, where in self._tree.containers(path).items()
        }
        return list(self._known[uid].values())

    def _judge(self, agent: Container, pod: SandboxPod, node: Node, now: float) -> Look:
        status = self._inspector.status(agent)
        if status is None:
            return Look()
        if containers.is_starting(status) and now - agent.since < _START_SECONDS:
            return Look(again=_step(agent, now))
        agent.started = now if agent.started is None else agent.started
        facts = self._inspector.facts(agent, status, pod.limits or limits.FALLBACK, now)
        if facts is None:
            return Look()
        facts = replace(facts, fenced=self._fences.is_fenced(pod.uid, facts.namespaces["net"]))
        found = posture.findings(pod, facts, node)
        if posture.is_ailing(found) and now - agent.started < SETTLE_SECONDS:
            return Look(again=_step(agent, now))
        return Look(found, SETTLE_SECONDS if agent.suspects else None)


def _step(container: Container, now: float) -> float | None:
    """When to look again at a container that is starting; None: leave it to the regular scan."""
    age = now - container.since
    if age >= _START_SECONDS:
        return None
    return _STEP_SECONDS if age < _FAST_SECONDS else _SLOW_STEP_SECONDS


def _soonest(times: Iterable[float | None]) -> float | None:
    return min((time for time in times if time is not None), default=None)
