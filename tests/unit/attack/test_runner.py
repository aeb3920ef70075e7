"""Rows run one by one; bombs come last, watched; what is lost is told, never passed over."""

import asyncio

import pytest

from attack.fakes import Cluster, Programs, node, pod, refuse
from attack.reports import LIMITS, report, through
from ringfence.api import Json
from ringfence.attack import neighbour, runner
from ringfence.attack.model import Status
from ringfence.attack.rows import ROWS, Result, Row
from ringfence.attack.runner import Runner
from ringfence.attack.scene import Scene
from ringfence.attack.waiting import CouldNotRun
from ringfence.kinds import NODE, POD, ApiError, Container, Finished

SCENE = Scene(
    attacker=Container("agents", "attacker", "agent"),
    neighbour=Container("agents", "neighbour", "agent"),
    limits=LIMITS,
    own=True,
    node="node-1",
    node_address="10.77.0.11",
    neighbour_address="10.244.0.7",
    neighbour_node="node-1",
    marker=".marker",
    target="203.0.113.10",
    target_known=True,
)
NAMES = [row.name for row in ROWS]
BOMBS = [row.name for row in ROWS if row.bomb]


def cluster() -> Cluster:
    made = Cluster()
    made.put(POD, pod("agents", "attacker"))
    return made


async def results(
    programs: Programs, *names: str, objects: Cluster | None = None, scene: Scene = SCENE
) -> dict[str, Result]:
    rows = [row for row in ROWS if not names or row.name in names]
    begun: list[str] = []

    def begin(row: Row) -> None:
        begun.append(row.name)

    run = Runner(objects or cluster(), programs, scene).run(rows, begin)
    found = {result.row.name: result async for result in run}
    assert set(begun) <= set(found)
    return found


def end_container(objects: Cluster, reason: str, *, running: bool = True) -> None:
    (status,) = objects.pod("agents", "attacker")["status"]["containerStatuses"]
    status["lastState"] = {"terminated": {"reason": reason}}
    status["state"] = {"running": {}} if running else {"waiting": {}}


async def test_where_everything_holds_every_row_passes_and_bombs_come_last() -> None:
    found = await results(Programs())
    assert list(found)[-5:] == [*BOMBS, "node-stays-ready", "neighbour-latency"]
    assert {n for n, r in found.items() if not r.verdict.status.passed} == set()
    assert len(found) == len(ROWS) + 2


async def test_node_and_neighbour_are_no_rows_without_bombs() -> None:
    assert list(await results(Programs(), "ptrace")) == ["ptrace"]


async def test_a_probe_that_is_refused_by_the_api_server_is_inconclusive() -> None:
    programs = Programs()
    programs.answers["ptrace"] = ApiError(403, "ExecRefused", "exec: HTTP 403")
    verdict = (await results(programs, "ptrace"))["ptrace"].verdict
    assert (verdict.status, verdict.seen) == (
        Status.INCONCLUSIVE,
        "403 ExecRefused: exec: HTTP 403",
    )


async def test_a_probe_that_crashes_is_inconclusive_and_says_how() -> None:
    programs = Programs()
    programs.answers["ptrace"] = Finished("", "Traceback\nNameError: \x1b[31mx", 1)
    verdict = (await results(programs, "ptrace"))["ptrace"].verdict
    assert verdict.status is Status.INCONCLUSIVE
    assert verdict.seen == "the probe ended with 1: Traceback NameError:  [31mx"


async def test_a_probe_that_hangs_is_cut_off() -> None:
    programs = Programs()
    programs.seconds = 30
    rows = tuple(row._replace(seconds=0.01) for row in ROWS if row.name == "ptrace")
    run = Runner(cluster(), programs, SCENE).run(rows, lambda _: None)
    (found,) = [result async for result in run]
    assert found.verdict.status is Status.INCONCLUSIVE


async def test_memory_bomb_that_ended_the_container_passes_once_it_runs_again() -> None:
    objects, programs = cluster(), Programs()
    programs.answers["memory-bomb"] = Finished("", "", None, "the connection ended")
    end_container(objects, "OOMKilled")
    found = await results(programs, "memory-bomb", objects=objects)
    assert found["memory-bomb"].verdict.status is Status.STOPPED
    assert "whole container" in found["memory-bomb"].verdict.seen


async def test_container_that_ended_for_another_reason_is_no_memory_limit() -> None:
    objects, programs = cluster(), Programs()
    programs.answers["memory-bomb"] = Finished("", "", None, "the connection ended")
    end_container(objects, "Error")
    found = await results(programs, "memory-bomb", objects=objects)
    assert found["memory-bomb"].verdict.status is Status.INCONCLUSIVE


async def test_container_that_does_not_come_back_ends_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "_RECOVERY_SECONDS", 0.01)
    objects = cluster()
    end_container(objects, "OOMKilled", running=False)
    with pytest.raises(CouldNotRun, match="to run again"):
        await results(Programs(), "memory-bomb", objects=objects)


async def test_neighbour_is_timed_before_and_during_each_bomb() -> None:
    programs = Programs()
    programs.seconds = 0.01
    await results(programs, "memory-bomb")
    order = [what for _, what in programs.ran]
    assert order.index("sampler") < order.index("memory-bomb") < len(order) - 1
    assert order.count("sampler") > 1


async def test_slow_neighbour_breaches_its_row() -> None:
    programs = Programs()

    def slow_down(what: str) -> None:
        if what == "memory-bomb":
            programs.samples = [0.2] * 10

    programs.before = slow_down
    programs.seconds = 0.01
    found = await results(programs, "memory-bomb")
    verdict = found["neighbour-latency"].verdict
    assert verdict.status is Status.BREACHED
    assert "p50 4.0 ms before, 200.0 ms during the bombs: 50.0 times" in verdict.seen


async def test_neighbour_on_another_node_tells_nothing() -> None:
    scene = SCENE.__class__(**{**SCENE.__dict__, "neighbour_node": "node-2"})
    found = await results(Programs(), "fork-bomb", scene=scene)
    assert found["neighbour-latency"].verdict.status is Status.NOT_APPLICABLE


async def test_neighbour_that_cannot_be_asked_is_inconclusive() -> None:
    programs = Programs()
    programs.samples = []
    found = await results(programs, "fork-bomb")
    assert found["neighbour-latency"].verdict.status is Status.INCONCLUSIVE


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (node(), Status.STOPPED),
        (node(ready="Unknown"), Status.BREACHED),
        (node(pressure="True"), Status.BREACHED),
    ],
)
async def test_node_must_be_ready_and_without_pressure(state: Json, status: Status) -> None:
    objects = cluster()
    objects.put(NODE, state)
    found = await results(Programs(), "fork-bomb", objects=objects)
    assert found["node-stays-ready"].verdict.status is status


async def test_without_the_right_to_see_the_node_its_row_is_inconclusive() -> None:
    objects = cluster()
    objects.fault = refuse("get", kind=NODE)
    found = await results(Programs(), "fork-bomb", objects=objects)
    assert found["node-stays-ready"].verdict.status is Status.INCONCLUSIVE


async def test_lost_file_of_the_neighbour_breaches_the_tolerated_row() -> None:
    programs = Programs()
    programs.marker_kept = False
    found = await results(programs, "remove-workspace")
    assert found["remove-workspace"].verdict.status is Status.BREACHED


async def test_one_breach_leaves_the_other_rows_alone() -> None:
    programs = Programs()
    programs.answers["ptrace"] = report(through())
    found = await results(programs, "ptrace", "crypto-socket")
    statuses = {n: r.verdict.status for n, r in found.items()}
    assert statuses == {"ptrace": Status.BREACHED, "crypto-socket": Status.STOPPED}


async def test_interrupted_bomb_stops_the_attack() -> None:
    programs, begun = Programs(), asyncio.Event()
    programs.seconds = 30
    programs.before = lambda what: begun.set() if what == "fork-bomb" else None
    task = asyncio.ensure_future(results(programs, "fork-bomb"))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("line", ["", "null", "[1, null]", "{}", '"x"', "\x00", "[0]", "[NaN]"])
def test_any_output_of_the_sampler_is_samples_or_lost(line: str) -> None:
    assert not isinstance(neighbour.samples(line), list)
