"""The resync finds what events missed, and never lets reconciles start on a half-known cluster."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import pytest

from ringfence.api import Json
from ringfence.freshness import Freshness
from ringfence.kinds import NETWORK_POLICY, SANDBOX_CLASS, SANDBOX_NODE, ApiError, Kind
from ringfence.resync import Known, Resync
from ringfence.workqueue import Key, WorkQueue
from warp_loop import now, warp


def _sandbox(name: str, class_name: str | None = None, phase: str | None = None) -> Json:
    return {
        "metadata": {"namespace": "ns", "name": name},
        "spec": {"className": class_name} if class_name else {},
        "status": {"phase": phase} if phase else {},
    }


class Cluster:
    """Lists what it holds; `down` is how often it fails first."""

    def __init__(self, *names: str, down: int = 0) -> None:
        self.names = list(names)
        self.down = down
        self.during: Callable[[], object] = lambda: None
        self.log: list[str] = []

    def listed(self, kind: Kind, bodies: list[Json]) -> None:
        self.log.append(f"told of {len(bodies)} {kind.plural}")

    def passed(self) -> None:
        self.log.append("passed")

    async def list(self, kind: Kind, *, labels: Mapping[str, str] | None = None) -> list[Json]:
        assert labels is None
        self.log.append(f"list {kind.plural}")
        if self.down:
            self.down -= 1
            raise ApiError(503, "ServiceUnavailable", "down")
        if kind in (SANDBOX_CLASS, SANDBOX_NODE, NETWORK_POLICY):
            return []
        self.during()
        return [_sandbox(name) for name in self.names]


class Scene:
    """A resync with a real queue; `ran` holds each key and the time it ran."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.known = Known()
        self.queue = WorkQueue()
        self.freshness = Freshness(now)
        self.resync = Resync(
            cluster,
            self.queue,
            self.known,
            self.freshness,
            cluster.listed,
            cluster.passed,
        )  # type: ignore[arg-type]
        self.ran: list[tuple[str, float]] = []

    async def work(self, seconds: float) -> None:
        async def note(key: Key) -> None:
            self.ran.append((key.name, now() - 1000.0))

        with suppress(TimeoutError):
            await asyncio.wait_for(self.queue.run(note, 1), seconds)


def test_the_first_list_is_repeated_until_it_succeeds_and_told_before_any_key_is_queued() -> None:
    cluster = Cluster("a", "b", down=2)

    async def scenario() -> None:
        scene = Scene(cluster)
        await scene.resync.first()
        assert now() == 1010.0
        assert scene.queue.depth == 2

    warp(scenario())
    failed = ["list sandboxclasses", "passed"]
    good = [
        "list sandboxclasses",
        "told of 0 sandboxclasses",
        "list sandboxnodes",
        "told of 0 sandboxnodes",
        "list networkpolicies",
        "told of 0 networkpolicies",
        "list sandboxes",
        "told of 2 sandboxes",
        "passed",
    ]
    assert cluster.log == [*failed, *failed, *good]


def test_a_deletion_that_no_event_told_of_is_noticed() -> None:
    async def scenario() -> None:
        cluster = Cluster("a", "b")
        scene = Scene(cluster)
        await scene.resync.first()
        await scene.work(1.0)
        scene.ran.clear()
        cluster.names.remove("b")
        running = asyncio.create_task(scene.resync.run(600.0))
        await scene.work(700.0)
        running.cancel()
        assert sorted(name for name, _ in scene.ran) == ["a", "b"]
        assert scene.known.keys() == {Key("ns", "a")}

    warp(scenario())


def test_a_sandbox_that_comes_during_the_list_is_not_taken_for_vanished() -> None:
    async def scenario() -> None:
        cluster = Cluster("a")
        scene = Scene(cluster)
        cluster.during = lambda: scene.known.enter(_sandbox("new"))
        await scene.resync.first()
        assert scene.known.keys() == {Key("ns", "a"), Key("ns", "new")}

    warp(scenario())


def test_a_pass_spreads_its_keys_so_that_a_new_sandbox_need_not_wait() -> None:
    async def scenario() -> None:
        scene = Scene(Cluster(*"abcdefghij"))
        running = asyncio.create_task(scene.resync.run(600.0))
        await scene.work(1000.0)
        running.cancel()
        times = [moment for _, moment in scene.ran]
        assert times == pytest.approx([600.0 + 6.0 * place for place in range(10)])

    warp(scenario())


def test_a_failed_pass_is_soon_repeated() -> None:
    async def scenario() -> None:
        scene = Scene(Cluster("a", down=3))
        running = asyncio.create_task(scene.resync.run(600.0))
        await scene.work(650.0)
        running.cancel()
        assert [moment for _, moment in scene.ran] == [615.0]

    warp(scenario())


def test_known_tells_which_sandboxes_a_class_concerns_and_counts_phases() -> None:
    known = Known()
    known.enter(_sandbox("strict", "strict", "Running"))
    known.enter(_sandbox("lax", "lax", "Running"))
    none = known.enter(_sandbox("none"))
    assert known.of_class("strict") == [Key("ns", "strict"), none]
    assert known.phases() == {"Running": 2, "Pending": 1}
    known.forget(none)
    known.forget(none)
    assert known.keys() == {Key("ns", "strict"), Key("ns", "lax")}
