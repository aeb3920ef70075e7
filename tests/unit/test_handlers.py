"""Real kopf against the counting fake API server: events become keys, and nothing is written."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from api_access import service_account, use_kubeconfig
from fake_api_server import FakeApiServer, status
from ringfence import names
from ringfence.api import Json
from ringfence.books import Books
from ringfence.handlers import CHILD_SELECTOR, Intake, owner_key, watch
from ringfence.kinds import (
    NETWORK_POLICY,
    SANDBOX,
    SANDBOX_CLASS,
    SANDBOX_NODE,
    WATCHED,
    collection_path,
)
from ringfence.resync import Known
from ringfence.workqueue import Key, WorkQueue
from samples import sandbox_node

KEY = Key("ns", "a")
ALL_WATCHED = (SANDBOX, SANDBOX_CLASS, SANDBOX_NODE, *WATCHED)


class Watching:
    """A running watch, and the keys it had reconciled."""

    def __init__(self, server: FakeApiServer) -> None:
        self.server = server
        self.keys: list[Key] = []
        self.class_changes = 0
        self.known = Known()
        self.queue = WorkQueue()
        self.books = Books.empty(asyncio.get_running_loop().time)
        self.heartbeats, self.policies = self.books.heartbeats, self.books.policies
        self.beats = 0
        self.intake = Intake(
            self.queue,
            self.known,
            self.books,
            self._event,
            self._class_changed,
        )
        self.task: asyncio.Task[None] | None = None

    def _event(self) -> None:
        self.beats += 1

    def _class_changed(self) -> None:
        self.class_changes += 1

    async def _record(self, key: Key) -> None:
        self.keys.append(key)

    @asynccontextmanager
    async def started(self) -> AsyncIterator["Watching"]:
        worker = asyncio.create_task(self.queue.run(self._record, 1))
        self.task = asyncio.create_task(watch(self.intake, lambda: None))
        try:
            await self.watches_all()
            yield self
        finally:
            for task in (self.task, worker):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task

    async def watches_all(self) -> None:
        await until(lambda: all(self.server.watching(kind.plural) for kind in ALL_WATCHED))

    async def next_keys(self, count: int = 1) -> set[Key]:
        await until(lambda: len(set(self.keys)) >= count)
        keys = set(self.keys)
        self.keys.clear()
        return keys


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as serving:
        use_kubeconfig(monkeypatch, tmp_path, serving.url)
        yield serving


def _sandbox(name: str = "a", class_name: str | None = None) -> Json:
    spec = {"className": class_name} if class_name else {}
    return {"metadata": {"namespace": "ns", "name": name}, "spec": spec}


def _child(name: str = "child", **owner: Any) -> Json:
    reference = {
        "apiVersion": names.API_VERSION,
        "kind": "Sandbox",
        "name": "a",
        "uid": "u",
        "controller": True,
    }
    meta = {"namespace": "ns", "name": name, "labels": dict(names.MANAGED_BY_LABELS)}
    return {"metadata": {**meta, "ownerReferences": [{**reference, **owner}]}}


async def test_a_sandbox_is_queued_when_it_exists_comes_changes_and_goes(
    server: FakeApiServer,
) -> None:
    server.put("sandboxes", _sandbox("before"))
    async with Watching(server).started() as watching:
        assert await watching.next_keys() == {Key("ns", "before")}
        for change in ({}, {"x": 1}):
            server.put("sandboxes", {**_sandbox(), **change})
            assert await watching.next_keys() == {KEY}
        server.drop("sandboxes", "ns", "a")
        assert await watching.next_keys() == {KEY}
        assert watching.known.keys() == {Key("ns", "before")}


@pytest.mark.parametrize("kind", WATCHED, ids=lambda kind: kind.plural)
async def test_a_touched_child_has_its_sandbox_queued(server: FakeApiServer, kind: Any) -> None:
    async with Watching(server).started() as watching:
        server.put(kind.plural, _child("a"))
        assert await watching.next_keys() == {KEY}
        server.drop(kind.plural, "ns", "a")
        assert await watching.next_keys() == {KEY}


async def test_foreign_pods_are_filtered_out_by_the_server(server: FakeApiServer) -> None:
    async with Watching(server).started() as watching:
        server.put("pods", {"metadata": {"namespace": "ns", "name": "foreign"}})
        server.put("pods", _child())
        assert await watching.next_keys() == {KEY}
    children = {collection_path(kind) for kind in WATCHED if kind != NETWORK_POLICY}
    reads = [request for request in server.requests if request.path in children]
    assert len(reads) >= 2 * len(children)
    assert {r.query.get("labelSelector") for r in reads} == {CHILD_SELECTOR}


@pytest.mark.parametrize("owner", [{}, {"controller": False}], ids=["ownerless name", "foreign"])
async def test_foreign_network_policy_has_every_sandbox_of_its_namespace_queued(
    server: FakeApiServer, owner: Any
) -> None:
    policy = _child("wide", **owner) | {"spec": {"podSelector": {}}}
    server.put("sandboxes", _sandbox())
    server.put("sandboxes", _sandbox("b"))
    async with Watching(server).started() as watching:
        await watching.next_keys()
        server.put("networkpolicies", policy)
        assert await watching.next_keys() == {KEY, Key("ns", "b")}
        assert len(watching.policies.of_namespace("ns")) == 1
        server.drop("networkpolicies", "ns", "wide")
        assert await watching.next_keys() == {KEY, Key("ns", "b")}
        assert watching.policies.of_namespace("ns") == ()


@pytest.mark.parametrize(
    "owner",
    [{"controller": False}, {"kind": "ReplicaSet"}, {"apiVersion": "other.dev/v1"}],
    ids=str,
)
def test_only_the_controlling_sandbox_owns_a_child(owner: dict[str, Any]) -> None:
    assert owner_key(_child()) == KEY
    assert owner_key(_child(**owner)) is None
    assert owner_key({"metadata": {"namespace": "ns", "name": "orphan"}}) is None


async def test_a_class_has_its_own_and_all_classless_sandboxes_queued(
    server: FakeApiServer,
) -> None:
    server.put("sandboxes", _sandbox("named", "strict"))
    server.put("sandboxes", _sandbox("other", "lax"))
    server.put("sandboxes", _sandbox("none"))
    async with Watching(server).started() as watching:
        await watching.next_keys(3)
        server.put("sandboxclasses", {"metadata": {"name": "strict"}})
        assert await watching.next_keys(2) == {Key("ns", "named"), Key("ns", "none")}
        assert watching.class_changes == 1


def _on_node(name: str, node: str | None) -> Json:
    return {**_sandbox(name), "status": {"nodeName": node} if node else {}}


async def test_a_node_has_its_own_and_all_homeless_sandboxes_queued(server: FakeApiServer) -> None:
    server.put("sandboxes", _on_node("here", "node-1"))
    server.put("sandboxes", _on_node("there", "node-2"))
    server.put("sandboxes", _on_node("nowhere", None))
    affected = {Key("ns", "here"), Key("ns", "nowhere")}
    async with Watching(server).started() as watching:
        await watching.next_keys(3)
        server.put("sandboxnodes", sandbox_node())
        assert await watching.next_keys(2) == affected
        server.put("sandboxnodes", sandbox_node(seccomp=()))
        assert await watching.next_keys(2) == affected
        server.drop("sandboxnodes", "", "node-1")
        assert await watching.next_keys(2) == affected
        assert not watching.heartbeats.nodes


async def test_a_heartbeat_queues_nothing_and_is_no_sign_of_life_of_the_operator(
    server: FakeApiServer,
) -> None:
    server.put("sandboxes", _on_node("here", "node-1"))
    async with Watching(server).started() as watching:
        await watching.next_keys()
        server.put("sandboxnodes", sandbox_node())
        await watching.next_keys()
        beats = watching.beats
        for second in range(10, 20):
            server.put("sandboxnodes", sandbox_node(renewed=f"2026-01-01T12:00:{second}Z"))
        server.put("sandboxnodes", sandbox_node("last"))
        await until(lambda: "last" in watching.heartbeats.nodes)
        assert watching.keys == []
        assert watching.beats == beats


async def test_watching_writes_nothing_and_asks_for_nothing_but_list_and_watch(
    server: FakeApiServer,
) -> None:
    async with Watching(server).started() as watching:
        for number in range(20):
            server.put("sandboxes", _sandbox(str(number)))
            server.put("pods", _child(str(number)))
        expected = {KEY} | {Key("ns", str(number)) for number in range(20)}
        assert await watching.next_keys(21) == expected
        for number in range(20):
            server.put("sandboxes", {**_sandbox(str(number)), "status": {"phase": "Running"}})
            server.drop("sandboxes", "ns", str(number))
        await watching.next_keys(20)
    assert server.writes == 0
    assert {r.method for r in server.requests} == {"GET"}
    plurals = {kind.plural for kind in ALL_WATCHED}
    asked = {what.split(" ")[1] for what in server.counts}
    assert asked == plurals


async def test_a_watch_that_expires_is_listed_again(server: FakeApiServer) -> None:
    async with Watching(server).started() as watching:
        server.put("sandboxes", _sandbox())
        await watching.next_keys()
        server.break_watches(code=410)
        await watching.watches_all()
        assert await watching.next_keys() == {KEY}


async def test_a_watch_that_fails_ends_the_watching(server: FakeApiServer) -> None:
    async with Watching(server).started() as watching:
        server.break_watches(code=500)
        assert watching.task
        with pytest.raises(Exception, match="Error in the watch-stream"):
            await asyncio.wait_for(watching.task, 10.0)


async def test_watching_stops_soon_after_it_is_cancelled_and_spares_other_tasks(
    server: FakeApiServer,
) -> None:
    bystander = asyncio.create_task(asyncio.sleep(20.0))
    async with Watching(server).started() as watching:
        assert watching.task
        watching.task.cancel()
        async with asyncio.timeout(2.0):
            with suppress(asyncio.CancelledError):
                await watching.task
    assert not bystander.done()
    bystander.cancel()


async def test_the_caller_can_take_the_signals_back(server: FakeApiServer) -> None:
    taken = asyncio.Event()
    watching = Watching(server)
    task = asyncio.create_task(watch(watching.intake, taken.set))
    await asyncio.wait_for(taken.wait(), 15.0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_rotated_token_is_read_again_when_the_old_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = service_account(tmp_path)

    def only(token: str) -> Callable[[web.Request], web.Response | None]:
        def check(request: web.Request) -> web.Response | None:
            right = request.headers["Authorization"] == f"Bearer {token}"
            return None if right else status(401, "Unauthorized")

        return check

    async with FakeApiServer(files.tls()) as server:
        files.use(monkeypatch, server.url)
        server.fault = only("first")
        async with Watching(server).started() as watching:
            files.token.write_text("second")
            server.fault = only("second")
            server.break_watches()
            await watching.watches_all()
            server.put("sandboxes", _sandbox())
            assert await watching.next_keys() == {KEY}
