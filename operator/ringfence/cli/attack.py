"""`ringfence attack`: reads the options, runs the table, shows it."""

import ipaddress
import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final

import typer

from ringfence import names
from ringfence.attack import report
from ringfence.attack.model import Status
from ringfence.attack.rows import NEIGHBOUR_LATENCY, NODE_READY, ROWS, Result, Row
from ringfence.attack.runner import Runner
from ringfence.attack.scene import DOCUMENTATION_ADDRESS, READY_SECONDS, Plan, Scene
from ringfence.attack.stage import stage
from ringfence.cli import exits
from ringfence.cli.terminal import Terminal, Working
from ringfence.kube_exec import session

EPILOG: Final = """\
Exit codes: 0 every row held, 1 some row did not, 2 wrong usage, 3 could not run,
130 interrupted.
"""

_STYLES: Final = {
    Status.STOPPED: "green",
    Status.TOLERATED: "green",
    Status.NOT_APPLICABLE: "dim",
    Status.WEAKENED: "yellow",
    Status.INCONCLUSIVE: "yellow",
    Status.BREACHED: "bold red",
}


class Output(StrEnum):
    """How the result is written."""

    TABLE = "table"
    JSON = "json"


def attack(  # noqa: PLR0913 - one parameter is one option
    *,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Where the Sandboxes are made.")
    ] = "default",
    class_name: Annotated[
        str | None, typer.Option("--class", help="SandboxClass; else the cluster's default.")
    ] = None,
    pod: Annotated[
        str | None,
        typer.Option(help="Attack this Pod instead of a Sandbox of our own, to compare."),
    ] = None,
    container: Annotated[
        str, typer.Option(help="Container of the Pod that --pod names.")
    ] = names.AGENT_CONTAINER,
    row: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this row; may be given more than once."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="IPv4 address outside of the cluster that answers on ports 443 and 80 to whoever "
            f"is not fenced. Else {DOCUMENTATION_ADDRESS}, where nobody answers: then silence "
            "proves nothing, and only a refusal counts."
        ),
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Form of the result.")] = (
        Output.TABLE
    ),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the Sandboxes in place.")] = False,
    ready_seconds: Annotated[
        float, typer.Option(min=1, help="How long the Sandboxes may take to be Ready.")
    ] = READY_SECONDS,
    context: Annotated[str | None, typer.Option(help="Context of the kubeconfig.")] = None,
    kubeconfig: Annotated[
        str | None, typer.Option(help="Else as kubectl: KUBECONFIG, ~/.kube/config, the Pod's own.")
    ] = None,
) -> None:
    """Attack a Sandbox from inside, and show what stopped each attack.

    Makes two Sandboxes, an attacker and a neighbour, runs every row of the attack table in the
    first and removes both. The image must have Python 3; nothing else is taken from it, as each
    attack brings its own system calls. Bombs end by themselves a little beyond the limits.

    Needs the rights to create, get and delete Sandboxes, to get Pods, and to get and create
    pods/exec, in the namespace; and to get nodes, for the row about the node.
    """
    plan = Plan(
        namespace=namespace,
        class_name=class_name,
        pod=pod,
        container=container,
        target=_address(target or DOCUMENTATION_ADDRESS),
        target_known=target is not None,
        keep=keep,
        ready_seconds=ready_seconds,
    )
    terminal = Terminal()
    rows = _rows(row or [])

    async def work() -> int:
        async with session(kubeconfig, context) as access:
            with terminal.working() as working:
                working.doing("waiting for two Sandboxes to be Ready")
                async with stage(access.kube, access.executor, plan) as scene:
                    runner = Runner(access.kube, access.executor, scene)
                    results = await _results(runner, rows, working)
        _show(terminal, output, scene, results)
        return exits.OK if report.passed(results) else exits.NOT_HELD

    raise exits.run(work(), terminal)


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


def _show(terminal: Terminal, output: Output, scene: Scene, results: Sequence[Result]) -> None:
    if output is Output.JSON:
        terminal.write(json.dumps(report.document(scene, results), indent=2) + "\n")
        return
    styles = [_STYLES[result.verdict.status] for result in results]
    terminal.table(report.HEADINGS, [report.line(result) for result in results], styles)
    terminal.note(report.closing(results))
