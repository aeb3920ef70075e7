"""The typer application: which commands there are. Each lives in a module of its own name."""

from typing import Annotated

import typer

from ringfence import __version__
from ringfence.cli import attack

app = typer.Typer(
    name="ringfence",
    help="Work with Sandboxes, and attack them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command(epilog=attack.EPILOG)(attack.attack)


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
