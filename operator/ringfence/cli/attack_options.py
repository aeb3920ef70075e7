"""`ringfence attack` for typer: options and help. What it runs is in attack.py, and heavy."""

from enum import StrEnum
from typing import Annotated, Final

import typer

from ringfence import names
from ringfence.cli import options

EPILOG: Final = """\
Exit codes: 0 every row held, 1 some row did not, 2 wrong usage, 3 could not run,
130 interrupted.
"""


class Output(StrEnum):
    """How the result is written."""

    TABLE = "table"
    JSON = "json"


def attack(  # noqa: PLR0913 - one parameter is one option
    *,
    namespace: options.Namespace = None,
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
            help="IPv4 address outside of the cluster that answers on ports 443 and 80 to "
            f"whoever is not fenced. Else {names.DOCUMENTATION_ADDRESS}, where nobody answers: "
            "then silence proves nothing, and only a refusal counts."
        ),
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Form of the result.")] = (
        Output.TABLE
    ),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the Sandboxes in place.")] = False,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Attack a Sandbox from inside, and show what stopped each attack.

    Makes two Sandboxes, an attacker and a neighbour, runs every row of the attack table in the
    first and removes both. The image must have Python 3; nothing else is taken from it, as each
    attack brings its own system calls. Bombs end by themselves a little beyond the limits.

    Needs the rights to create, get and delete Sandboxes, to get Pods, and to get and create
    pods/exec, in the namespace; and to get nodes, for the row about the node.
    """
    from ringfence.cli.attack import Wanted, run  # noqa: PLC0415 - slower than all other commands

    raise run(
        Wanted(
            namespace=namespace,
            class_name=class_name,
            pod=pod,
            container=container,
            rows=row or [],
            target=target,
            as_json=output is Output.JSON,
            keep=keep,
            context=context,
            kubeconfig=kubeconfig,
        )
    )
