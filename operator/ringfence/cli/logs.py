"""`ringfence logs`."""

import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final

import typer

from ringfence import names
from ringfence.cli import exits, options
from ringfence.cli.terminal import Terminal
from ringfence.kinds import ApiError
from ringfence.printable import harmless
from ringfence.sdk.errors import InvalidArgument
from ringfence.sdk.keeping import Keeping
from ringfence.sdk.troubles import explained

_UNITS: Final = {"s": 1, "m": 60, "h": 3600}


class Part(StrEnum):
    """Whose log."""

    AGENT = "agent"
    PROXY = "proxy"


_CONTAINERS: Final = {Part.AGENT: names.AGENT_CONTAINER, Part.PROXY: names.PROXY_CONTAINER}


def logs(  # noqa: PLR0913 - one parameter is one option
    name: options.Name,
    part: Annotated[
        Part, typer.Argument(help="The agent's own output, or the egress proxy's decisions.")
    ] = Part.AGENT,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more comes.")] = False,
    tail: Annotated[int | None, typer.Option(help="Only that many lines from the end.")] = None,
    since: Annotated[str | None, typer.Option(help="Only what is younger: 30s, 10m, 2h.")] = None,
    previous: Annotated[
        bool, typer.Option("--previous", "-p", help="Of the container before the last restart.")
    ] = False,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Begin lines with it.")] = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Show what the agent's main process wrote, or what the egress proxy decided.

    On a terminal, characters that would steer it are taken out; into a file or a pipe it goes as
    it is. Output of `ringfence exec` is in no log.
    """
    terminal = Terminal()

    def work() -> int:
        query = {
            "container": _CONTAINERS[part],
            **({"follow": "true"} if follow else {}),
            **({"tailLines": str(tail)} if tail is not None else {}),
            **({"sinceSeconds": str(_seconds(since))} if since else {}),
            **({"previous": "true"} if previous else {}),
            **({"timestamps": "true"} if timestamps else {}),
        }
        place = options.place(name, namespace, kubeconfig, context)
        try:
            with place.rest().log(place.namespace, place.agent.pod, query) as pieces:
                shown = _shown if sys.stdout.isatty() else _raw
                shown(pieces)
        except ApiError as error:
            raise explained(place, error) from error
        return exits.OK

    raise exits.guarded(work, terminal)


def _raw(pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def _shown(pieces: Iterator[bytes]) -> None:
    def show(text: str) -> None:
        sys.stdout.write(harmless(text))
        sys.stdout.flush()

    keeping = Keeping(0, show)
    for piece in pieces:
        keeping.take(piece)
    keeping.finish()


def _seconds(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if not number.isdigit() or unit not in _UNITS:
        message = f"--since {text!r}: write it as 30s, 10m or 2h"
        raise InvalidArgument(message)
    return int(number) * _UNITS[unit]
