"""A silent node agent is given up after one look at the API server, and never without."""

import asyncio
from collections.abc import Mapping

from ringfence.api import Json
from ringfence.heartbeats import Heartbeats
from ringfence.kinds import SANDBOX_NODE, ApiError, Kind
from ringfence.lookout import RETRY_SECONDS, Lookout
from samples import sandbox_node
from warp_loop import now, warp


class Cluster:
    """Lists SandboxNodes, unless it is down."""

    def __init__(self, *bodies: Json) -> None:
        self.bodies = list(bodies)
        self.down = False
        self.lists: list[float] = []

    async def list(self, kind: Kind, *, labels: Mapping[str, str] | None = None) -> list[Json]:
        assert kind == SANDBOX_NODE
        assert labels is None
        self.lists.append(now())
        if self.down:
            raise ApiError(0, "Unreachable", "down")
        return self.bodies


class Scene:
    """A lookout over a node that has just been heard; `changed` holds the names it reported."""

    def __init__(self, cluster: Cluster) -> None:
        self.heartbeats = Heartbeats(now)
        self.heartbeats.replace([sandbox_node("a", renewed="1")])
        self.changed: list[str] = []
        self.lookout = Lookout(cluster, self.heartbeats, self.changed.append)  # type: ignore[arg-type]

    async def run(self, seconds: float) -> None:
        running = asyncio.create_task(self.lookout.run())
        await asyncio.sleep(seconds)
        running.cancel()


def test_an_agent_that_went_silent_is_given_up_once_and_costs_one_list() -> None:
    cluster = Cluster(sandbox_node("a", renewed="1"))

    async def scenario() -> None:
        scene = Scene(cluster)
        begin = now()
        await scene.run(300.0)
        assert scene.changed == ["a"]
        assert not scene.heartbeats.nodes["a"].live
        assert len(cluster.lists) == 1
        assert 40 <= cluster.lists[0] - begin <= 41

    warp(scenario())


def test_a_watch_that_hangs_is_not_taken_for_the_silence_of_an_agent() -> None:
    async def scenario() -> None:
        scene = Scene(Cluster(sandbox_node("a", renewed="2")))
        await scene.run(50.0)
        assert scene.changed == []
        assert scene.heartbeats.nodes["a"].live

    warp(scenario())


def test_an_api_server_that_is_down_proves_nothing_and_is_asked_seldom() -> None:
    cluster = Cluster()
    cluster.down = True

    async def scenario() -> None:
        scene = Scene(cluster)
        await scene.run(140.0)
        assert scene.changed == []
        assert scene.heartbeats.nodes["a"].live
        assert len(cluster.lists) <= 100 / RETRY_SECONDS + 1

    warp(scenario())


def test_a_node_whose_end_no_event_told_of_is_forgotten() -> None:
    async def scenario() -> None:
        scene = Scene(Cluster())
        await scene.run(50.0)
        assert scene.changed == ["a"]
        assert not scene.heartbeats.nodes

    warp(scenario())
