"""A reconciler and its cluster in memory, with all who act there: user, kubelet, node agent."""

from typing import Any

from fake_kube import FakeKube
from ringfence.api import Json
from ringfence.books import Books
from ringfence.kinds import POD, SANDBOX, SANDBOX_CLASS, Kind
from ringfence.pod_state import has_gateway
from ringfence.reconcile import Reconciler
from ringfence.uids import Uids
from ringfence.workqueue import Key
from samples import (
    NOW,
    SETTINGS,
    running,
    sandbox,
    sandbox_class,
    sandbox_node,
    verified,
    verified_behind_gateway,
)

KEY = Key("agents", "demo")
GATEWAY = "gateway-demo"

VOLUME_WAITS = (
    "0/1 nodes are available: waiting for ephemeral volume controller to create the claim.",
    "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
)
"""What the scheduler says of a healthy Pod until its volume is there."""


def unschedulable(message: str) -> Json:
    waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    return {"phase": "Pending", "conditions": [{**waits, "message": message}]}


class World:
    """A reconciler and its cluster, with a clock that only moves when told."""

    def __init__(
        self,
        body: Json | None = None,
        classes: tuple[Json, ...] | None = None,
        nodes: tuple[Json, ...] | None = None,
    ) -> None:
        self.kube = FakeKube()
        self.now = NOW
        self.nodes = (sandbox_node(),) if nodes is None else nodes
        for rules in (sandbox_class(),) if classes is None else classes:
            self.kube.put(SANDBOX_CLASS, rules)
        if body is not None:
            self.kube.put(SANDBOX, body)
        self.restart()

    def restart(self) -> None:
        self.uids = Uids(SETTINGS.uid_first, SETTINGS.uid_last)
        self.uids.seed([o for (k, _, _), o in self.kube.objects.items() if k == SANDBOX])
        self.books = Books.empty(self._monotonic)
        self.heartbeats, self.policies = self.books.heartbeats, self.books.policies
        self.heartbeats.replace(self.nodes)
        self.reconcile = Reconciler(self.kube, SETTINGS, self.uids, self.books, lambda: self.now)

    def _monotonic(self) -> float:
        return self.now.timestamp()

    async def run(self) -> float | None:
        return await self.reconcile(KEY)

    @property
    def status(self) -> Json:
        found: Json = self.kube.objects[SANDBOX, *KEY]["status"]
        return found

    def condition(self, type_: str = "Ready") -> Json:
        return next(c for c in self.status["conditions"] if c["type"] == type_)

    def child(self, kind: Kind) -> Json:
        return self.kube.objects[kind, *KEY]

    def exists(self, kind: Kind) -> bool:
        return (kind, *KEY) in self.kube.objects

    def edit_spec(self, **spec: Any) -> None:
        stored = self.kube.objects[SANDBOX, *KEY]
        stored["metadata"]["generation"] += 1
        self.kube.put(SANDBOX, {**stored, "spec": spec})

    def gateway_child(self, kind: Kind) -> Json:
        return self.kube.objects[kind, KEY.namespace, GATEWAY]

    def has_gateway(self) -> bool:
        return (POD, KEY.namespace, GATEWAY) in self.kube.objects

    def run_gateway(self) -> None:
        """Plays scheduler and kubelet for the gateway's Pod, on another node."""
        pod = self.gateway_child(POD)
        pod["spec"]["nodeName"] = "node-2"
        pod["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}

    def run_pod(self) -> None:
        """Plays scheduler, kubelet and node agent."""
        pod = self.child(POD)
        pod["spec"]["nodeName"] = "node-1"
        pod["status"] = running(*(verified_behind_gateway() if has_gateway(pod) else verified()))


async def ready_in_steps() -> World:
    """As a real cluster does it: an event for each step of scheduler and kubelet."""
    world = World(sandbox())
    await world.run()
    await world.run()
    pod = world.child(POD)
    for message in VOLUME_WAITS:
        pod["status"] = unschedulable(message)
        await world.run()
    pod["spec"]["nodeName"] = "node-1"
    pod["status"] = {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "True"}],
    }
    await world.run()
    pod["status"] = running()
    await world.run()
    world.run_pod()
    await world.run()
    return world


async def ready(body: Json | None = None, **kwargs: Any) -> World:
    world = World(body or sandbox(), **kwargs)
    await world.run()
    world.run_pod()
    await world.run()
    return world
