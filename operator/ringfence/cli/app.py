"""The typer application: which commands there are. Each lives in a module of its own name."""

from typing import Annotated

import typer

from ringfence import __version__
from ringfence.cli import attack_options, completion, copy, create, delete, logs, remote_exec, show

app = typer.Typer(
    name="ringfence",
    help="Work with Sandboxes, and attack them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command(epilog=create.EPILOG)(create.create)
app.command()(show.ls)
app.command()(show.describe)
app.command(name="exec", epilog=remote_exec.EPILOG)(remote_exec.remote_exec)
app.command(epilog=copy.EPILOG)(copy.cp)
app.command()(logs.logs)
app.command()(delete.delete)
app.command(epilog=attack_options.EPILOG)(attack_options.attack)
app.command()(completion.completion)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def ringfence(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Work with Sandboxes, and attack them."""
