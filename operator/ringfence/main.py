"""The operator process: wires the parts together, runs them, and ends them.

It decides nothing about Sandboxes. Any part that ends ends the process, for each is needed; the
next start is cheap and writes nothing.
"""

import argparse
import asyncio
import dataclasses
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

from ringfence import __version__, endpoints, handlers, kube, log
from ringfence.api import Json
from ringfence.books import Books
from ringfence.kinds import NETWORK_POLICY, SANDBOX, SANDBOX_NODE, Api, Kind
from ringfence.liveness import Limits, Signs, ailment
from ringfence.lookout import Lookout
from ringfence.metrics import Metrics
from ringfence.reconcile import Reconciler
from ringfence.resync import Known, Resync
from ringfence.settings import PREFIX, Settings
from ringfence.uids import Uids
from ringfence.workqueue import WorkQueue

RESOLV_CONF: Final = Path("/etc/resolv.conf")
_LAG_PERIOD_SECONDS: Final = 1.0
_EXIT_SECONDS: Final = 4.5
"""Time from a signal to the end, within kubelet's patience."""

_log = logging.getLogger(__name__)


class PartEnded(Exception):  # noqa: N818 - says what happened
    """A part that should run for ever returned."""


class Pulse:
    """Notes the signs of life that liveness.py judges."""

    def __init__(self, limits: Limits, queue: WorkQueue) -> None:
        self._limits = limits
        self._queue = queue
        self._last = asyncio.get_running_loop().time()
        self._lag = 0.0
        self.synced = asyncio.Event()

    def beat(self) -> None:
        """A watch event arrived, or a resync was attempted."""
        self._last = asyncio.get_running_loop().time()

    def oldest_key_age(self) -> float:
        """Age of the oldest key that waits or is worked on."""
        return self._queue.oldest_age(asyncio.get_running_loop().time())

    def ailment(self) -> str | None:
        """Why the process should be restarted, if it should."""
        now = asyncio.get_running_loop().time()
        signs = Signs(now, self._last, self._lag, self._queue.oldest_age(now))
        return ailment(signs, self._limits)

    def unready(self) -> str | None:
        """Why the operator does no work yet, if so."""
        return None if self.synced.is_set() else "waiting for the first list of Sandboxes"

    async def measure_lag(self) -> None:
        """Compares for ever how long a sleep takes with how long it should."""
        loop = asyncio.get_running_loop()
        while True:
            expected = loop.time() + _LAG_PERIOD_SECONDS
            await asyncio.sleep(_LAG_PERIOD_SECONDS)
            self._lag = loop.time() - expected


class Operator:
    """The parts of one operator and how they know each other."""

    def __init__(self, api: Api, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._uids = Uids(settings.uid_first, settings.uid_last)
        self._books = Books.empty(asyncio.get_running_loop().time)
        self._reconciler = Reconciler(api, settings, self._uids, self._books, _now)
        self._queue = WorkQueue(observer=metrics)
        self._pulse = Pulse(Limits.for_resync(settings.resync_seconds), self._queue)
        known = Known()
        fresh = self._books.freshness
        self._resync = Resync(api, self._queue, known, fresh, self._listed, self._pulse.beat)
        self._intake = handlers.Intake(
            self._queue,
            known,
            self._books,
            self._pulse.beat,
            self._reconciler.classes_changed,
        )
        self._lookout = Lookout(api, self._books.heartbeats, self._intake.node_changed)
        metrics.read_from(lambda: self._queue.depth, self._pulse.oldest_key_age, known.phases)

    async def run(self, stop: asyncio.Event, on_watching: Callable[[], None]) -> None:
        """Runs until `stop` is set or a part ends.

        Args:
            stop: Ends the operator in good order.
            on_watching: Called when kopf has put its own signal handlers in place of ours.
        """
        probes = {
            "/healthz": endpoints.verdict(self._pulse.ailment),
            "/readyz": endpoints.verdict(self._pulse.unready),
        }
        scrape = {"/metrics": endpoints.metrics(self._metrics.exposition)}
        parts = {
            "probes": endpoints.serve(self._settings.probe_port, probes),
            "metrics": endpoints.serve(self._settings.metrics_port, scrape),
            "lag meter": self._pulse.measure_lag(),
            "resync": self._list_and_resync(),
            "workers": self._work(),
            "lookout": self._look_out(),
            "watch": self._watch(on_watching),
        }
        await supervise(parts, stop)

    async def _list_and_resync(self) -> None:
        await self._resync.first()
        self._pulse.synced.set()
        await self._resync.run(self._settings.resync_seconds)

    async def _work(self) -> None:
        """Nothing is reconciled before every recorded uid is known."""
        await self._pulse.synced.wait()
        await self._queue.run(self._reconciler, self._settings.workers)

    async def _look_out(self) -> None:
        await self._pulse.synced.wait()
        await self._lookout.run()

    async def _watch(self, on_watching: Callable[[], None]) -> None:
        await self._pulse.synced.wait()
        await handlers.watch(self._intake, on_watching)

    def _listed(self, kind: Kind, bodies: list[Json]) -> None:
        if kind == SANDBOX:
            self._uids.seed(bodies)
            self._reconciler.classes_changed()
        elif kind == SANDBOX_NODE:
            self._books.heartbeats.replace(bodies)
        elif kind == NETWORK_POLICY:
            foreign = (body for body in bodies if not handlers.is_own_policy(body))
            self._books.policies.replace(foreign)


async def supervise(parts: Mapping[str, Coroutine[Any, Any, None]], stop: asyncio.Event) -> None:
    """Runs parts until `stop` is set or one of them ends, then cancels the others.

    Raises:
        PartEnded: A part returned.
        Exception: What a part raised.
    """
    tasks = [asyncio.create_task(part, name=name) for name, part in parts.items()]
    stopped = asyncio.create_task(stop.wait(), name="stop")
    ended, _ = await asyncio.wait({*tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (*tasks, stopped):
        task.cancel()
    _, late = await asyncio.wait(tasks, timeout=_EXIT_SECONDS)
    for task in late:
        _log.warning("%s did not stop within %.1f s", task.get_name(), _EXIT_SECONDS)
    for task in ended - {stopped}:
        task.result()
        raise PartEnded(task.get_name())
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            _log.warning("%s failed while it stopped: %s", task.get_name(), error)


async def operate(settings: Settings) -> None:
    """One operator, from the first call to the API server until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    take_signals = _signal_taker(stop)
    take_signals()
    metrics = Metrics()
    async with kube.connect(settings.workers, metrics.called) as api:
        await Operator(api, settings, metrics).run(stop, take_signals)


async def _operate_and_exit(settings: Settings) -> NoReturn:
    """Ends the process here and now, when all that is ours has ended.

    When one watch of kopf dies, kopf leaves the others running. Such a task swallows a cancellation
    that comes while it connects, and asyncio.run would wait for it without end.
    """
    code = 0
    try:
        await operate(settings)
    except Exception:  # noqa: BLE001 - whatever it was, it is logged and the process ends
        _log.exception("the operator ends, as a part of it failed")
        code = 1
    sys.stdout.flush()
    os._exit(code)


def _signal_taker(stop: asyncio.Event) -> Callable[[], None]:
    loop = asyncio.get_running_loop()

    def take() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

    return take


def _now() -> datetime:
    return datetime.now(UTC)


def _parser() -> argparse.ArgumentParser:
    described = dataclasses.fields(Settings)
    variables = ", ".join(f"{PREFIX}{field.name.upper()}" for field in described)
    return argparse.ArgumentParser(
        prog="ringfence-operator",
        description="Reconciles the Sandboxes of a cluster. It uses the ServiceAccount of its Pod, "
        "or else the kubeconfig (KUBECONFIG).",
        epilog=f"Environment variables: {variables}.",
    )


def main() -> int:
    """Runs the operator; the exit code: 0 after a signal, 1 after a failure, 2 if misconfigured."""
    parser = _parser()
    parser.add_argument("--version", action="version", version=__version__)
    parser.parse_args()
    log.configure()
    try:
        settings = Settings.from_environment(os.environ, RESOLV_CONF)
    except (ValueError, OSError) as error:
        _log.error("the environment is not as it should be: %s", error)
        return 2
    return asyncio.run(_operate_and_exit(settings))


if __name__ == "__main__":
    sys.exit(main())
