"""`ringfence attack`: runs the table and shows it."""

import asyncio
import dataclasses
import ipaddress
import json
import signal
from collections.abc import Coroutine, Sequence
from typing import Any, Final, NamedTuple

import typer

from ringfence.attack import report
from ringfence.attack.model import Status
from ringfence.attack.rows import NEIGHBOUR_LATENCY, NODE_READY, ROWS, Result, Row
from ringfence.attack.runner import Runner
from ringfence.attack.scene import Plan, Scene
from ringfence.attack.stage import stage
from ringfence.attack.waiting import CouldNotRun
from ringfence.cli import exits
from ringfence.cli.terminal import Terminal, Working
from ringfence.client.access import access
from ringfence.kube_exec import session
from ringfence.names import DOCUMENTATION_ADDRESS
from ringfence.sdk.errors import Unavailable

_STYLES: Final = {
    Status.STOPPED: "green",
    Status.TOLERATED: "green",
    Status.NOT_APPLICABLE: "dim",
    Status.WEAKENED: "yellow",
    Status.INCONCLUSIVE: "yellow",
    Status.BREACHED: "bold red",
}


class Wanted(NamedTuple):
    """What the command line asks for; see attack_options.py."""

    namespace: str | None
    class_name: str | None
    pod: str | None
    container: str
    rows: Sequence[str]
    target: str | None
    as_json: bool
    keep: bool
    context: str | None
    kubeconfig: str | None


def run(wanted: Wanted) -> typer.Exit:
    """Runs the table and shows it; how the command line ends."""
    terminal = Terminal()
    rows = _rows(wanted.rows)
    plan = _plan(wanted)
    return exits.guarded(
        lambda: asyncio.run(_interruptible(_run(wanted, plan, rows, terminal))), terminal
    )


def _plan(wanted: Wanted) -> Plan:
    return Plan(
        namespace=wanted.namespace or "",
        class_name=wanted.class_name,
        pod=wanted.pod,
        container=wanted.container,
        target=_address(wanted.target or DOCUMENTATION_ADDRESS),
        target_known=wanted.target is not None,
        keep=wanted.keep,
    )


async def _run(wanted: Wanted, plan: Plan, rows: Sequence[Row], terminal: Terminal) -> int:
    where = plan.namespace or access(wanted.kubeconfig, wanted.context).namespace
    placed = dataclasses.replace(plan, namespace=where)
    async with session(wanted.kubeconfig, wanted.context) as connected:
        with terminal.working() as working:
            working.doing("waiting for two Sandboxes to be Ready")
            try:
                async with stage(connected.kube, connected.executor, placed) as scene:
                    runner = Runner(connected.kube, connected.executor, scene)
                    results = await _results(runner, rows, working)
            except CouldNotRun as error:
                raise Unavailable(str(error)) from error
    _show(terminal, scene, results, as_json=wanted.as_json)
    return exits.OK if report.passed(results) else exits.NOT_HELD


async def _interruptible(work: Coroutine[Any, Any, int]) -> int:
    """SIGTERM and SIGHUP let it clean up, as Ctrl-C does."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _address(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as error:
        message = f"{error}; give an address, not a name"
        raise typer.BadParameter(message, param_hint="--target") from error


def _rows(wanted: Sequence[str]) -> list[Row]:
    known = {row.name: row for row in ROWS}
    for name in wanted:
        if name not in known:
            message = f"no row {name!r}; there are {', '.join(known)}"
            raise typer.BadParameter(message, param_hint="--row")
    return [row for row in ROWS if not wanted or row.name in wanted]


async def _results(runner: Runner, rows: Sequence[Row], working: Working) -> list[Result]:
    """In the order of the table; bombs run last."""
    results: list[Result] = []
    async for result in runner.run(rows, lambda row: working.doing(f"{row.name}: {row.command}")):
        results.append(result)
        status = result.verdict.status
        working.done(f"{result.row.name}: {status} ({result.seconds:.1f} s)", _STYLES[status])
    order = [*ROWS, NODE_READY, NEIGHBOUR_LATENCY]
    return sorted(results, key=lambda result: order.index(result.row))


def _show(terminal: Terminal, scene: Scene, results: Sequence[Result], *, as_json: bool) -> None:
    if as_json:
        terminal.write(json.dumps(report.document(scene, results), indent=2) + "\n")
        return
    styles = [_STYLES[result.verdict.status] for result in results]
    terminal.table(report.HEADINGS, [report.line(result) for result in results], styles)
    terminal.note(report.closing(results))
