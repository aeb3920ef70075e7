"""What the watch of Pods tells, and that no break loses anything."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

import pytest

from api_access import service_account
from ringfence.node.book import Gone, Listed, PodEvent, Seen
from ringfence.node.pod_watch import PodWatch
from scripted_server import Answer, Request, ScriptedServer

SECONDS = 10.0
Serve = Callable[["Watched"], tuple[ScriptedServer, SimpleQueue[PodEvent]]]


def _pod(version: str) -> dict[str, object]:
    return {"metadata": {"uid": "u", "resourceVersion": version}}


def _listed(version: str) -> Answer:
    return 200, {"metadata": {"resourceVersion": version}, "items": [_pod(version)]}


class Watched:
    """Lists, and answers each watch with the next of the given events; the last one hangs."""

    def __init__(self, *watches: Answer) -> None:
        self._watches = list(watches)
        self.end = threading.Event()

    def __call__(self, request: Request) -> Answer:
        if "watch=1" not in request.path:
            return _listed("5")
        if self._watches:
            return self._watches.pop(0)
        self.end.wait(SECONDS)
        return 500, {"message": "the end"}

    def sleep(self, _: float) -> None:
        """Of the watch, after a failure."""
        if self.end.wait(0.01):
            raise SystemExit


class Running:
    """A watch in a thread, against a server."""

    def __init__(self, directory: Path, script: Watched) -> None:
        self.script = script
        self.server = ScriptedServer(service_account(directory), script)
        self.told: SimpleQueue[PodEvent] = SimpleQueue()
        self._watch = PodWatch(self.server.access, "node-1", self.told.put, script.sleep)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with suppress(SystemExit):
            self._watch.run()

    def start(self) -> None:
        self.server.__enter__()
        self._thread.start()

    def stop(self) -> None:
        self.script.end.set()
        self._thread.join(SECONDS)
        self.server.__exit__()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    started: list[Running] = []

    def serve(script: Watched) -> tuple[ScriptedServer, SimpleQueue[PodEvent]]:
        started.append(Running(tmp_path, script))
        started[-1].start()
        return started[-1].server, started[-1].told

    yield serve
    for running in started:
        running.stop()


def test_only_sandboxes_of_the_own_node_are_asked_for(serve: Serve) -> None:
    server, told = serve(Watched())
    assert told.get(timeout=SECONDS) == Listed((_pod("5"),))
    path = server.requests[0].path
    assert "fieldSelector=spec.nodeName%3Dnode-1" in path
    assert "labelSelector=ringfence.dev%2Fsandbox-uid" in path


def test_changes_and_ends_are_told(serve: Serve) -> None:
    events = [
        {"type": "MODIFIED", "object": _pod("6")},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}},
        {"type": "DELETED", "object": _pod("8")},
    ]
    _, told = serve(Watched(events))
    assert [told.get(timeout=SECONDS) for _ in range(3)][1:] == [Seen(_pod("6")), Gone("u")]


def test_ended_watch_goes_on_where_it_was(serve: Serve) -> None:
    bookmark = [{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}]
    event = [{"type": "MODIFIED", "object": _pod("10")}]
    server, told = serve(Watched(bookmark, event))
    told.get(timeout=SECONDS)
    assert told.get(timeout=SECONDS) == Seen(_pod("10"))
    versions = [r.path.split("resourceVersion=")[1].split("&")[0] for r in server.requests[1:3]]
    assert versions == ["5", "9"]


@pytest.mark.parametrize(
    "fault",
    [
        [{"type": "ERROR", "object": {"code": 410, "message": "too old"}}],
        (410, {"message": "too old"}),
        (500, {"message": "etcd"}),
        ['{"type": "MOD'],
    ],
)
def test_after_any_break_everything_is_listed_again(serve: Serve, fault: Answer) -> None:
    _, told = serve(Watched(fault))
    found = [told.get(timeout=SECONDS) for _ in range(2)]
    assert found == [Listed((_pod("5"),))] * 2
