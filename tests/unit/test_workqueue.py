"""The work queue's promises, in warped time."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.workqueue import Key, WorkQueue
from warp_loop import now, warp

A, B = Key("ns", "a"), Key("ns", "b")


def _upper(_: float, high: float) -> float:
    return high


def _queue(**options: Any) -> WorkQueue:
    return WorkQueue(uniform=_upper, **options)


class Started(NamedTuple):
    """Which key ran, and when."""

    key: Key
    at: float


class Recorder:
    """A reconcile that takes its time, and whose outcome the test chooses."""

    def __init__(
        self,
        seconds: float = 1.0,
        outcome: Callable[[int], float | None] = lambda _: None,
    ) -> None:
        self.started: list[Started] = []
        self.finished: list[Key] = []
        self.running: list[Key] = []
        self.most_at_once = 0
        self._seconds = seconds
        self._outcome = outcome

    async def __call__(self, key: Key) -> float | None:
        assert key not in self.running, "two reconciles of one key at once"
        self.started.append(Started(key, now()))
        self.running.append(key)
        self.most_at_once = max(self.most_at_once, len(self.running))
        try:
            await asyncio.sleep(self._seconds)
            self.finished.append(key)
            return self._outcome(len(self.started))
        finally:
            self.running.remove(key)

    def times(self) -> list[float]:
        return [round(at - 1000.0, 6) for _, at in self.started]


async def _run_for(queue: WorkQueue, recorder: Recorder, seconds: float, workers: int = 2) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(queue.run(recorder, workers), seconds)


def _fails(_: int) -> float | None:
    message = "refused"
    raise ValueError(message)


class _Addition(NamedTuple):
    at: float
    key: Key
    after: float


_times = st.floats(0, 20).map(lambda t: round(t, 1))
_additions = st.lists(
    st.builds(_Addition, _times, st.sampled_from([Key("ns", str(n)) for n in range(4)]), _times),
    max_size=30,
)


@given(_additions, st.integers(1, 3), st.sampled_from([0.0, 0.3, 2.0]))
def test_no_key_is_lost_and_none_runs_twice_at_once(
    additions: list[_Addition], workers: int, seconds: float
) -> None:
    recorder = Recorder(seconds)

    async def scenario() -> None:
        queue = _queue()
        for addition in additions:
            loop = asyncio.get_running_loop()
            loop.call_later(addition.at, queue.add, addition.key, addition.after)
        await _run_for(queue, recorder, 500.0, workers)
        assert queue.depth == 0
        assert queue.active == 0

    warp(scenario())
    assert recorder.most_at_once <= workers
    for addition in additions:
        starts = [at for key, at in recorder.started if key == addition.key]
        # A timer may fire within the clock's resolution before its time.
        assert any(at >= 1000.0 + addition.at - 1e-6 for at in starts)
    for key in {addition.key for addition in additions}:
        asked = sum(addition.key == key for addition in additions)
        assert sum(started.key == key for started in recorder.started) <= asked


@given(st.lists(st.booleans(), max_size=12))
def test_backoff_follows_the_failures_since_the_last_success(outcomes: list[bool]) -> None:
    def outcome(number: int) -> float | None:
        if number > len(outcomes) or outcomes[number - 1]:
            return 1000.0 if number <= len(outcomes) else None
        return _fails(number)

    recorder = Recorder(0.0, outcome)

    async def scenario() -> None:
        queue = _queue()
        queue.add(A)
        await _run_for(queue, recorder, 20_000.0)

    warp(scenario())
    assert len(recorder.started) == len(outcomes) + 1
    failures, expected = 0, [0.0]
    for good in outcomes:
        failures = 0 if good else failures + 1
        expected.append(expected[-1] + (1000.0 if good else min(2.0 ** (failures - 1), 300.0)))
    assert recorder.times() == pytest.approx(expected)


def test_a_key_added_many_times_runs_once() -> None:
    recorder = Recorder()

    async def scenario() -> None:
        queue = _queue()
        for _ in range(100):
            queue.add(A)
        assert queue.depth == 1
        await _run_for(queue, recorder, 50.0)

    warp(scenario())
    assert recorder.times() == [0.0]


def test_a_key_that_changes_while_it_is_worked_on_runs_once_more() -> None:
    recorder = Recorder(1.0)

    async def scenario() -> None:
        queue = _queue()
        queue.add(A)
        for moment in (0.2, 0.4, 0.6):
            asyncio.get_running_loop().call_later(moment, queue.add, A)
        await _run_for(queue, recorder, 50.0)

    warp(scenario())
    assert recorder.times() == [0.0, 1.0]


@pytest.mark.parametrize(("first", "then"), [(60.0, 0.0), (60.0, 5.0), (5.0, 60.0), (0.0, 5.0)])
def test_a_key_runs_at_the_earliest_time_asked_for(first: float, then: float) -> None:
    recorder = Recorder(0.0)

    async def scenario() -> None:
        queue = _queue()
        queue.add(A, after=first)
        queue.add(A, after=then)
        await _run_for(queue, recorder, 500.0)

    warp(scenario())
    assert recorder.times() == [min(first, then)]


def test_the_returned_seconds_pass_before_the_next_run() -> None:
    recorder = Recorder(1.0, lambda number: 30.0 if number < 3 else None)

    async def scenario() -> None:
        queue = _queue()
        queue.add(A)
        await _run_for(queue, recorder, 500.0)

    warp(scenario())
    assert recorder.times() == [0.0, 31.0, 62.0]


def test_a_change_overtakes_the_backoff() -> None:
    recorder = Recorder(0.0, lambda number: None if number == 4 else _fails(number))

    async def scenario() -> None:
        queue = _queue()
        queue.add(A)
        asyncio.get_running_loop().call_later(4.0, queue.add, A)
        await _run_for(queue, recorder, 500.0)

    warp(scenario())
    assert recorder.times() == [0.0, 1.0, 3.0, 4.0]


def test_a_first_conflict_runs_again_at_once_and_a_second_waits() -> None:
    recorder = Recorder(1.0, lambda number: None if number == 3 else _fails(number))

    async def scenario() -> None:
        queue = _queue()
        queue.add(A)
        for moment in (0.5, 1.5):
            asyncio.get_running_loop().call_later(moment, queue.add, A)
        await _run_for(queue, recorder, 500.0)

    warp(scenario())
    assert recorder.times() == [0.0, 1.0, 4.0]


def test_the_pause_that_the_server_asks_for_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    class Overloaded(Exception):  # noqa: N818
        retry_after = 42.0

    def outcome(number: int) -> float | None:
        if number == 1:
            raise Overloaded
        return None

    recorder = Recorder(0.0, outcome)

    async def scenario() -> None:
        queue = _queue()
        queue.add(A)
        await _run_for(queue, recorder, 500.0)

    with caplog.at_level(logging.WARNING):
        warp(scenario())
    assert recorder.times() == [0.0, 42.0]
    assert caplog.records[0].exc_info is None


def test_jitter_only_shortens_the_backoff_and_by_a_fifth_at_most() -> None:
    recorder = Recorder(0.0, lambda number: None if number == 2 else _fails(number))

    async def scenario() -> None:
        queue = WorkQueue(uniform=lambda low, _: low)
        queue.add(A)
        await _run_for(queue, recorder, 50.0)

    warp(scenario())
    assert recorder.times() == [0.0, 0.8]


def test_one_failing_key_does_not_hold_up_another() -> None:
    class Failing(Recorder):
        async def __call__(self, key: Key) -> float | None:
            await super().__call__(key)
            return _fails(0) if key == A else None

    recorder = Failing(0.0)

    async def scenario() -> None:
        queue = _queue()
        queue.add(A)
        queue.add(B)
        await _run_for(queue, recorder, 0.5, workers=1)

    warp(scenario())
    assert recorder.finished == [A, B]


def test_a_cancelled_run_lets_reconciles_finish_and_starts_none() -> None:
    recorder = Recorder(2.0)

    async def scenario() -> float:
        queue = _queue()
        running = asyncio.create_task(queue.run(recorder, 1))
        queue.add(A)
        queue.add(B)
        await asyncio.sleep(1.0)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return now()

    assert warp(scenario()) == 1002.0
    assert recorder.finished == [A]
    assert [started.key for started in recorder.started] == [A]


def test_a_cancelled_run_that_is_idle_stops_at_once() -> None:
    async def scenario() -> float:
        queue = _queue()
        queue.add(A, after=60.0)
        running = asyncio.create_task(queue.run(Recorder(), 4))
        await asyncio.sleep(1.0)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return now()

    assert warp(scenario()) == 1001.0


def test_a_reconcile_that_outlasts_the_grace_is_cancelled() -> None:
    recorder = Recorder(3600.0)

    async def scenario() -> float:
        queue = _queue(grace=3.0)
        running = asyncio.create_task(queue.run(recorder, 1))
        queue.add(A)
        await asyncio.sleep(1.0)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return now()

    assert warp(scenario()) == 1004.0
    assert recorder.running == []


def test_depth_and_age_tell_what_waits() -> None:
    async def scenario() -> None:
        queue = _queue()
        assert queue.oldest_age(now()) == 0.0
        queue.add(A)
        await asyncio.sleep(3.0)
        queue.add(B)
        queue.add(Key("ns", "later"), after=900.0)
        assert queue.depth == 2
        assert queue.oldest_age(now()) == 3.0
        running = asyncio.create_task(queue.run(Recorder(10.0), 1))
        await asyncio.sleep(7.0)
        queue.add(A)
        assert queue.depth == 2
        assert queue.oldest_age(now()) == 7.0
        running.cancel()

    warp(scenario())


def test_the_observer_hears_of_every_result() -> None:
    heard: list[tuple[str, float] | str] = []

    class Observer:
        def reconciled(self, result: str, seconds: float) -> None:
            heard.append((result, seconds))

        def retried(self) -> None:
            heard.append("retried")

    def outcome(number: int) -> float | None:
        return _fails(number) if number == 1 else {2: 5.0, 3: None}[number]

    recorder = Recorder(2.0, outcome)

    async def scenario() -> None:
        queue = _queue(observer=Observer())
        queue.add(A)
        await _run_for(queue, recorder, 50.0)

    warp(scenario())
    assert heard == ["retried", ("error", 2.0), ("requeue", 2.0), ("success", 2.0)]
