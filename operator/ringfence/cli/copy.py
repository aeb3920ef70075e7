"""`ringfence cp`."""

import re
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

from ringfence import quantity
from ringfence.cli import exits, options
from ringfence.cli.terminal import Terminal
from ringfence.sdk import copying
from ringfence.sdk.errors import InvalidArgument
from ringfence.sdk.place import Place
from ringfence.sdk.unpack import Limits

EPILOG: Final = """\
Examples: `ringfence cp data.csv demo:/work/`, `ringfence cp demo:/work/out ./results`.

Exit codes: 0 all was copied (what was left out is told), 2 wrong usage, 3 it failed,
130 interrupted.
"""


class _Side(NamedTuple):
    sandbox: str
    path: str


def cp(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="PATH or NAME:PATH.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="NAME:PATH or PATH.")],
    *,
    limit: Annotated[
        str, typer.Option(help="Greatest number of bytes that are taken out of the Sandbox.")
    ] = "8Gi",
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Copy files and directories into a Sandbox, or out of it, as `cp -r` would.

    What comes out is hostile: nothing is written outside of TARGET, no link is followed, links that
    lead elsewhere, devices and the like are left out and told. A file gets its name when it is
    complete. The image needs `cat` for a file and `tar` for a directory.
    """
    terminal = Terminal()

    def work() -> int:
        here, there = _side(source), _side(target)
        if bool(here.sandbox) == bool(there.sandbox):
            message = "one of the two is NAME:PATH, the other one is a path on this machine"
            raise InvalidArgument(message)
        place = options.place(here.sandbox or there.sandbox, namespace, kubeconfig, context)
        with terminal.working() as working:
            done = _copied(place, here, there, Limits(size=_bytes(limit)), working.moved)
        for note in done.notes:
            terminal.note(note, "yellow")
        terminal.note(f"{done.files} files, {done.size} bytes")
        return exits.OK

    raise exits.guarded(work, terminal)


def _copied(
    place: Place, here: _Side, there: _Side, limits: Limits, progress: copying.Progress
) -> copying.Copied:
    if there.sandbox:
        return copying.copy_in(place, here.path, there.path, progress)
    return copying.copy_out(place, here.path, Path(there.path), limits, progress)


def _side(text: str) -> _Side:
    """NAME:PATH; a path that holds a colon is written with a slash before it."""
    name, colon, path = text.partition(":")
    if not colon or "/" in name or name in ("", "."):
        return _Side("", text)
    return _Side(name, path or ".")


def _bytes(text: str) -> int:
    if not re.match(quantity.PATTERN, text):
        message = f"--limit {text!r}: write it as 500Mi or 8Gi"
        raise InvalidArgument(message)
    return int(quantity.parse(text))
