"""Runs rows against a scene, one after the other, and watches neighbour and node meanwhile.

What a row's result means is decided in judge.py; here it is only gathered.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Final

from ringfence.api import Json
from ringfence.attack import neighbour, pods
from ringfence.attack.judge import judge
from ringfence.attack.model import Attempt, Lost, Observed, Status, Verdict, parse
from ringfence.attack.program import program
from ringfence.attack.rows import NEIGHBOUR_LATENCY, NODE_READY, Result, Row
from ringfence.attack.scene import Scene
from ringfence.attack.stage import PYTHON, Objects
from ringfence.attack.waiting import until
from ringfence.kinds import NODE, POD, ApiError, Executor
from ringfence.printable import printable

_KILLED: Final = 137
"""Exit status of a program that was ended by SIGKILL."""
_RECOVERY_SECONDS: Final = 90.0


_Found = tuple[Verdict, tuple[Attempt, ...]]


class Runner:
    """Runs rows; `clock` is for the durations only."""

    def __init__(
        self,
        objects: Objects,
        executor: Executor,
        scene: Scene,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._objects = objects
        self._executor = executor
        self._scene = scene
        self._clock = clock
        self._before: list[float] = []
        self._during: list[float] = []

    async def run(self, rows: Sequence[Row], begin: Callable[[Row], None]) -> AsyncIterator[Result]:
        """Results as they come; `begin` is told of each row first. Bombs come last."""
        bombs = [row for row in rows if row.bomb]
        for row in (row for row in rows if not row.bomb):
            begin(row)
            yield await self._timed(row, self._attack(row))
        for row in bombs:
            begin(row)
            self._before += await self._sample()
            yield await self._timed(row, self._watched(row))
        if bombs:
            begin(NODE_READY)
            yield await self._timed(NODE_READY, self._node())
            yield Result(NEIGHBOUR_LATENCY, self._latency(), 0.0)

    async def _timed(self, row: Row, work: Coroutine[Any, Any, _Found]) -> Result:
        begun = self._clock()
        verdict, attempts = await work
        return Result(row, verdict, self._clock() - begun, attempts)

    async def _attack(self, row: Row) -> _Found:
        seen = await self._observe(row)
        if row.tolerated and isinstance(seen, Observed):
            seen = await self._with_marker(seen)
        attempts = seen.attempts if isinstance(seen, Observed) else ()
        return judge(row, seen, self._scene.limits), attempts

    async def _observe(self, row: Row) -> Observed | Lost:
        text = program(row.probe, self._scene.for_probes())
        try:
            async with asyncio.timeout(row.seconds):
                done = await self._executor.execute(self._scene.attacker, PYTHON, text)
        except TimeoutError:
            return Lost(f"no report within {row.seconds:.0f} s")
        except ApiError as error:
            return Lost(printable(str(error)))
        if done.code == 0:
            return parse(done.stdout.strip().rpartition("\n")[2])
        return await self._lost(done.code, done.problem or done.stderr.strip()[-200:])

    async def _lost(self, code: int | None, said: str) -> Lost:
        pod = await self._pod()
        killed = pods.out_of_memory(pod, self._scene.attacker.name)
        if killed or code == _KILLED:
            whole = "the whole container" if killed else "the program"
            return Lost(f"{whole} was killed (SIGKILL)", out_of_memory=True)
        return Lost(printable(f"the probe ended with {code}: {said}"))

    async def _with_marker(self, seen: Observed) -> Observed:
        """Whether the neighbour still has what it had."""
        look = f"import os; os.stat('/work/{self._scene.marker}')"
        done = await self._executor.execute(self._scene.neighbour, PYTHON, look)
        kept = Attempt(
            what="the neighbour's /work",
            outcome="refused" if done.code == 0 else "through",
            errno="untouched" if done.code == 0 else "",
        )
        return seen.model_copy(update={"attempts": (*seen.attempts, kept)})

    async def _watched(self, row: Row) -> _Found:
        """The row, with the neighbour's job timed as long as it lasts."""
        attack = asyncio.create_task(self._attack(row))
        try:
            while not attack.done():
                self._during += await self._sample()
                await asyncio.sleep(0)
            found = await attack
        finally:
            attack.cancel()
        await self._recover()
        return found

    async def _sample(self) -> list[float]:
        """Times of the neighbour's job; none if it did not get round to it."""
        try:
            async with asyncio.timeout(_RECOVERY_SECONDS):
                done = await self._executor.execute(
                    self._scene.neighbour, PYTHON, neighbour.SAMPLER
                )
        except (TimeoutError, ApiError):
            return []
        found = neighbour.samples(done.stdout)
        return [] if isinstance(found, Lost) else found

    async def _recover(self) -> None:
        """Waits until the attacker's container runs again, if a bomb ended it.

        Raises:
            CouldNotRun: It does not come back.
        """
        await until(
            f"the container of {self._scene.attacker.pod} to run again",
            _RECOVERY_SECONDS,
            self._not_running,
        )

    async def _not_running(self) -> str:
        pod = await self._pod()
        return "" if pods.is_running(pod, self._scene.attacker.name) else "it does not run"

    async def _pod(self) -> Json | None:
        container = self._scene.attacker
        return await self._objects.get(POD, container.namespace, container.pod)

    async def _node(self) -> _Found:
        try:
            node = await self._objects.get(NODE, "", self._scene.node)
        except ApiError as error:
            return Verdict(Status.INCONCLUSIVE, printable(str(error))), ()
        if node is None:
            return Verdict(Status.BREACHED, "the node is gone"), ()
        if troubles := pods.node_troubles(node):
            return Verdict(Status.BREACHED, ", ".join(troubles)), ()
        by = "limits of the attacker's cgroup"
        return Verdict(Status.STOPPED, f"{self._scene.node} is Ready", "resources", by), ()

    def _latency(self) -> Verdict:
        if self._scene.neighbour_node != self._scene.node:
            where = f"the neighbour runs on {self._scene.neighbour_node}, not beside the attacker"
            return Verdict(Status.NOT_APPLICABLE, where)
        return neighbour.judge(self._before, self._during)
