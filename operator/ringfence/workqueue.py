"""Keyed work queue: at most one reconcile per key at a time, no key lost, failures back off.

Knows nothing of Kubernetes. Not thread-safe: one event loop owns it.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

FIRST_BACKOFF_SECONDS: Final = 1.0
LAST_BACKOFF_SECONDS: Final = 300.0
_JITTER: Final = 0.2
"""Part of a back-off that is random, so that keys which failed together do not retry together."""

_log = logging.getLogger(__name__)


class Key(NamedTuple):
    """Which Sandbox."""

    namespace: str
    name: str


Reconcile = Callable[[Key], Awaitable[float | None]]
"""Does the work of one key; returns seconds after which to do it again, or None."""


class Observer(Protocol):
    """Told about each reconcile and each retry."""

    def reconciled(self, result: str, seconds: float) -> None:
        """One reconcile ended: result is success, requeue or error."""

    def retried(self) -> None:
        """A key that failed was set back."""


class Silent:
    """The observer that does nothing."""

    def reconciled(self, result: str, seconds: float) -> None:
        """Ignores it."""

    def retried(self) -> None:
        """Ignores it."""


class _Delayed(NamedTuple):
    due: float
    timer: asyncio.TimerHandle


class WorkQueue:
    """Each key is ready, delayed, active, or active and dirty (to be run once more)."""

    def __init__(
        self,
        *,
        uniform: Callable[[float, float], float] = random.uniform,
        observer: Observer | None = None,
        grace: float = 3.0,
    ) -> None:
        """An empty queue.

        Args:
            uniform: Source of the jitter.
            observer: Told about results.
            grace: Seconds that running reconciles get to finish when `run` is cancelled.
        """
        self._uniform = uniform
        self._observer = observer or Silent()
        self._grace = grace
        self._order: deque[Key] = deque()
        self._ready_since: dict[Key, float] = {}
        self._active_since: dict[Key, float] = {}
        self._dirty: set[Key] = set()
        self._delayed: dict[Key, _Delayed] = {}
        self._failures: dict[Key, int] = {}
        self._wake = asyncio.Event()

    @property
    def depth(self) -> int:
        """Keys that wait for a worker; delayed ones are not due and do not count."""
        return len(self._ready_since) + len(self._dirty)

    @property
    def active(self) -> int:
        """Keys that are worked on."""
        return len(self._active_since)

    def oldest_age(self, now: float) -> float:
        """Seconds since the oldest key that waits or is worked on was due; 0 if there is none.

        Args:
            now: Time of the event loop.
        """
        since = [next(iter(times.values())) for times in self._started() if times]
        return max(0.0, now - min(since)) if since else 0.0

    def add(self, key: Key, after: float = 0.0) -> None:
        """Has `key` reconciled, at once or in `after` seconds; never later than asked before."""
        if key in self._ready_since or key in self._dirty:
            return
        if after > 0:
            self._delay(key, after)
            return
        self._cancel_delay(key)
        if key in self._active_since:
            self._dirty.add(key)
        else:
            self._make_ready(key)

    async def run(self, reconcile: Reconcile, workers: int) -> None:
        """Works until cancelled; then starts nothing new and lets running reconciles finish.

        It waits for the workers without being their parent: a gather would hand its own
        cancellation on to reconciles that are half way through their writes.
        """
        stopping = asyncio.Event()
        tasks = [
            asyncio.create_task(self._work(reconcile, stopping), name=f"reconcile-{number}")
            for number in range(workers)
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            stopping.set()
            self._wake.set()
            self._cancel_all_delays()
            await _finish(tasks, self._grace)

    # --- states -------------------------------------------------------------------------------

    def _started(self) -> tuple[dict[Key, float], dict[Key, float]]:
        """Dicts keep the order of insertion, so the first value of each is its oldest."""
        return self._ready_since, self._active_since

    def _make_ready(self, key: Key) -> None:
        self._ready_since[key] = asyncio.get_running_loop().time()
        self._order.append(key)
        self._wake.set()

    def _delay(self, key: Key, after: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + after
        earlier = self._delayed.get(key)
        if earlier and earlier.due <= due:
            return
        self._cancel_delay(key)
        self._delayed[key] = _Delayed(due, loop.call_at(due, self._come_due, key))

    def _come_due(self, key: Key) -> None:
        del self._delayed[key]
        self.add(key)

    def _cancel_delay(self, key: Key) -> None:
        delayed = self._delayed.pop(key, None)
        if delayed:
            delayed.timer.cancel()

    def _cancel_all_delays(self) -> None:
        for key in tuple(self._delayed):
            self._cancel_delay(key)

    # --- work ---------------------------------------------------------------------------------

    async def _work(self, reconcile: Reconcile, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            if self._order:
                await self._run_one(reconcile, self._order.popleft())
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _run_one(self, reconcile: Reconcile, key: Key) -> None:
        started = asyncio.get_running_loop().time()
        after: float | None
        del self._ready_since[key]
        self._active_since[key] = started
        try:
            again = await reconcile(key)
        except Exception as error:  # noqa: BLE001 - whatever it was, this key is tried again
            after, result = self._fail(key, error), "error"
        else:
            self._failures.pop(key, None)
            after, result = again, "success" if again is None else "requeue"
        finally:
            del self._active_since[key]
        self._observer.reconciled(result, asyncio.get_running_loop().time() - started)
        self._settle(key, after)

    def _fail(self, key: Key, error: Exception) -> float:
        """Notes a failure; an error with `retry_after` is an outage, not a bug: no stack."""
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        pause = max(self._backoff(failures), getattr(error, "retry_after", None) or 0.0)
        self._observer.retried()
        _log.warning(
            "reconcile of %s/%s failed (%s), try %d, next in %.1f s",
            *key,
            error,
            failures,
            pause,
            exc_info=None if hasattr(error, "retry_after") else error,
        )
        return pause

    def _backoff(self, failures: int) -> float:
        exponential = FIRST_BACKOFF_SECONDS * 2.0 ** min(failures - 1, 30)
        base = min(exponential, LAST_BACKOFF_SECONDS)
        return base * self._uniform(1.0 - _JITTER, 1.0)

    def _settle(self, key: Key, after: float | None) -> None:
        """Sets back a key whose reconcile ended.

        A first failure of a key that changed meanwhile is most often a conflict with that change,
        so it runs again at once. From the second on the pause holds: else an object that fails and
        changes all the time would be tried without end.
        """
        dirty = key in self._dirty
        self._dirty.discard(key)
        if dirty and self._failures.get(key, 0) <= 1:
            self.add(key)
        elif after is not None:
            self.add(key, after)


async def _finish(tasks: list[asyncio.Task[None]], grace: float) -> None:
    """Waits for tasks for a time, then cancels those that remain."""
    _, late = await asyncio.wait(tasks, timeout=grace)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
