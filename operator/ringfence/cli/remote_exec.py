"""`ringfence exec` for typer: options and help. quick.py reads the common forms without it."""

from typing import Annotated, Final

import typer

from ringfence.cli import options
from ringfence.cli.execute import Wanted, execute

EPILOG: Final = """\
Examples: `ringfence exec demo -- python3 -c 'print(6 * 7)'`, `ringfence exec -it demo -- bash`,
`ringfence exec -i demo -- sh -c 'cat > data' < data`.

Exit codes: the command's own; 124 --timeout was over, 125 the command was not run, 126 and 127 it
cannot be run or does not exist, 128 and the signal's number if one ended it here (130 for Ctrl-C).
"""


def remote_exec(  # noqa: PLR0913 - one parameter is one option
    name: options.Name,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND", help="Without one, a shell.", show_default=False),
    ] = None,
    *,
    stdin: Annotated[
        bool, typer.Option("--stdin", "-i", help="Pass our standard input on.")
    ] = False,
    tty: Annotated[bool, typer.Option("--tty", "-t", help="Give it a terminal.")] = False,
    cwd: Annotated[str | None, typer.Option(help="Directory; else /work.")] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="NAME[=VALUE]", help="A variable; may be repeated."),
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds until it is ended.")] = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Run a command in a Sandbox.

    Its output comes as it is, byte for byte, and its exit code is ours. When it is interrupted here
    (Ctrl-C without -t, SIGTERM, a lost connection, --timeout), it and everything it started are
    ended there. With -t, Ctrl-C is a key like any other.
    """
    wanted = Wanted(
        name=name,
        command=tuple(command or ()),
        stdin=stdin,
        tty=tty,
        cwd=cwd,
        env=tuple(env or ()),
        timeout=timeout,
        namespace=namespace,
        context=context,
        kubeconfig=kubeconfig,
    )
    raise typer.Exit(execute(wanted))
