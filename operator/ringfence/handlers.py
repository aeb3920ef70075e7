"""What kopf watches, and which key each event stands for. The only importer of `kopf`.

kopf is the watcher and nothing else: a handler adds a key to the queue and returns. It never
writes, keeps no body, and there is nothing here that could fail or be retried.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final

import kopf

from ringfence import kube, names
from ringfence.api import Json
from ringfence.books import Books
from ringfence.kinds import NETWORK_POLICY, SANDBOX, SANDBOX_CLASS, SANDBOX_NODE, WATCHED, Kind
from ringfence.resync import Known
from ringfence.workqueue import Key, WorkQueue

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
CHILD_SELECTOR: Final = f"{MANAGED_BY}={names.MANAGED_BY_LABELS[MANAGED_BY]}"
"""Filters on the server: without it every Pod of the cluster would come in."""


class Intake:
    """Turns raw watch events into keys. Each method is O(1), save for those of class and node."""

    def __init__(
        self,
        queue: WorkQueue,
        known: Known,
        books: Books,
        on_event: Callable[[], None],
        on_class_changed: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._known = known
        self._books = books
        self._on_event = on_event
        self._on_class_changed = on_class_changed

    def sandbox(self, event: Json) -> None:
        """A Sandbox came, changed or went."""
        self._on_event()
        key = self._known.enter(event["object"])
        if event["type"] == "DELETED":
            self._known.forget(key)
        self._add(key, event)

    def sandbox_class(self, event: Json) -> None:
        """A class changed: so may all that follow from it."""
        self._on_event()
        self._on_class_changed()
        self._add_all(self._known.of_class(event["object"]["metadata"]["name"]))

    def sandbox_node(self, event: Json) -> None:
        """A node agent wrote. Its heartbeat is no sign that the operator's own work goes on."""
        body = event["object"]
        name = body["metadata"]["name"]
        gone = event["type"] == "DELETED"
        if self._books.heartbeats.forget(name) if gone else self._books.heartbeats.enter(body):
            self.node_changed(name)

    def node_changed(self, name: str) -> None:
        """A node has other profiles than before, or its agent came or went."""
        self._add_all(self._known.of_node(name))

    def child(self, event: Json) -> None:
        """A child changed, perhaps by another hand."""
        self._on_event()
        key = owner_key(event["object"])
        if key:
            self._add(key, event)

    def network_policy(self, event: Json) -> None:
        """A NetworkPolicy changed: a Sandbox's own, or one that may open its Pods."""
        body = event["object"]
        if is_own_policy(body):
            self.child(event)
            return
        self._on_event()
        gone = event["type"] == "DELETED"
        if self._books.policies.forget(body) if gone else self._books.policies.enter(body):
            self._add_all(self._known.of_namespace(body["metadata"]["namespace"]))

    def _add(self, key: Key, event: Json) -> None:
        """What went may have to come back; what is only there may be known already."""
        if event["type"] == "DELETED":
            self._books.freshness.news(key)
        else:
            self._books.freshness.told(key, event["object"])
        self._queue.add(key)

    def _add_all(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._books.freshness.news(key)
            self._queue.add(key)


def is_own_policy(body: Json) -> bool:
    """True for the policies of a Sandbox: by the owner and the names that only one can have."""
    owner = owner_key(body)
    return owner is not None and body["metadata"]["name"] in {
        names.child_name(owner.name),
        names.gateway_name(owner.name),
    }


def owner_key(child: Json) -> Key | None:
    """The Sandbox that controls `child`, if one does."""
    meta = child["metadata"]
    for owner in meta.get("ownerReferences", ()):
        ours = owner["apiVersion"].startswith(f"{names.GROUP}/") and owner["kind"] == SANDBOX.kind
        if ours and owner.get("controller"):
            return Key(meta["namespace"], owner["name"])
    return None


async def watch(intake: Intake, on_started: Callable[[], None]) -> None:
    """Watches until cancelled.

    Args:
        intake: Gets the events.
        on_started: Called when kopf has put its own signal handlers in place of the caller's.

    Raises:
        Exception: A watch ended; what it would have reported is lost, so the process must end too.
    """
    stop = asyncio.Event()
    running = asyncio.create_task(_operate(intake, stop, on_started), name="kopf")
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await running
        raise


async def _operate(intake: Intake, stop: asyncio.Event, on_started: Callable[[], None]) -> None:
    tasks = await kopf.spawn_tasks(
        registry=registry(intake), settings=settings(), clusterwide=True, stop_flag=stop
    )
    on_started()
    await kopf.run_tasks(tasks, ignored=_Everything())


class _Everything(Collection[asyncio.Task[Any]]):
    """Contains every task.

    When kopf ends, it takes all tasks of the loop that are younger than itself for its own, waits
    five seconds for them and cancels them: our reconciles and probes. It owns none of them.
    """

    def __contains__(self, _: object) -> bool:
        return True

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        return iter(())

    def __len__(self) -> int:
        return 0


def registry(intake: Intake) -> kopf.OperatorRegistry:
    """All handlers. Explicit, as kopf's default registry is global and logs in by itself."""
    handlers = kopf.OperatorRegistry()
    kopf.on.login(registry=handlers, id="login")(_login)
    _on(handlers, SANDBOX, intake.sandbox)
    _on(handlers, SANDBOX_CLASS, intake.sandbox_class)
    _on(handlers, SANDBOX_NODE, intake.sandbox_node)
    for kind in WATCHED:
        take = intake.network_policy if kind == NETWORK_POLICY else intake.child
        _on(handlers, kind, take)
    return handlers


def _on(handlers: kopf.OperatorRegistry, kind: Kind, take: Callable[[Json], None]) -> None:
    async def handle(event: Any, **_: Any) -> None:
        take(event)

    kopf.on.event(kind.api_version, kind.plural, registry=handlers, id=kind.plural)(handle)


async def _login(**_: Any) -> kopf.ConnectionInfo:
    """Called at the start and again whenever the API server answers 401."""
    found = await kube.login()
    return kopf.ConnectionInfo(
        server=found.server,
        ca_path=found.ca_path,
        scheme="Bearer" if found.token else None,
        token=found.token,
        certificate_path=found.certificate_path,
        private_key_path=found.private_key_path,
        insecure=found.insecure,
    )


def settings() -> kopf.OperatorSettings:
    """Settings of a mere watcher: it asks for no right beyond list and watch of these kinds."""
    chosen = kopf.OperatorSettings()
    chosen.scanning.disabled = True  # no watch of CRDs and namespaces
    chosen.peering.standalone = True  # no peering objects, no write a minute
    chosen.posting.enabled = False  # Events are our own
    chosen.watching.chunk_size = 100
    chosen.watching.server_timeout = 300  # an int: the API server refuses "300.0"
    chosen.networking.request_timeout = 30.0
    chosen.networking.connect_timeout = 10.0
    chosen.networking.enforce_retry_after = True
    chosen.queueing.idle_timeout = 1.0  # a task per object lives this long after its last event
    chosen.persistence.diffbase_storage = _NoEssence([])
    chosen.persistence.progress_storage = kopf.MultiProgressStorage([])
    chosen.process.ultimate_exiting_timeout = 10.0
    for kind in set(WATCHED) - {NETWORK_POLICY}:  # of policies the foreign ones count, too
        chosen.watching.label_selectors[kind.api_version, kind.plural] = CHILD_SELECTOR
    return chosen


class _NoEssence(kopf.MultiDiffBaseStorage):
    """Spares the copy of each object that kopf makes to find out what changed since last time."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()
