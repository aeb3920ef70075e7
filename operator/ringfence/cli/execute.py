"""`ringfence exec` without typer: what makes it as quick as kubectl is what it does not import."""

import contextlib
import os
from typing import Final, NamedTuple

from ringfence.cli import codes, console
from ringfence.client.access import access
from ringfence.client.wakeup import Wakeup
from ringfence.kinds import ApiError
from ringfence.printable import printable
from ringfence.sdk import scripts
from ringfence.sdk.errors import InvalidArgument, SandboxError
from ringfence.sdk.place import Command, Outcome, Place, carry_out, new_mark

_SHELL: Final = ("/bin/sh", "-c", "command -v bash >/dev/null && exec bash; exec sh")
_BY_SIGNAL: Final = 128
_LONGEST: Final = 2000


class Wanted(NamedTuple):
    """What the command line asks for.

    Attributes:
        name: The Sandbox.
        command: The words of the command; none for a shell.
        stdin: Whether it gets our standard input.
        tty: Whether it gets a terminal.
        cwd: Directory that it starts in.
        env: Further variables, NAME=VALUE.
        timeout: Seconds until it is ended.
        namespace: Else the context's.
        context: Else the current one.
        kubeconfig: Else as kubectl finds it.
    """

    name: str
    command: tuple[str, ...] = ()
    stdin: bool = False
    tty: bool = False
    cwd: str | None = None
    env: tuple[str, ...] = ()
    timeout: float | None = None
    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None


def execute(wanted: Wanted) -> int:
    """Runs the command; its exit code, or one of codes.py."""
    if not wanted.command:
        there = console.interactive()
        wanted = wanted._replace(command=_SHELL, stdin=True, tty=wanted.tty or there)
    if wanted.tty and not console.interactive():
        console.tell("no terminal here: going on without -t")
        wanted = wanted._replace(tty=False)
    try:
        return _run(wanted)
    except KeyboardInterrupt:
        console.tell("interrupted")
        return codes.INTERRUPTED
    except BrokenPipeError:
        return _BY_SIGNAL + 13
    except InvalidArgument as error:
        console.tell(f"error: {printable(str(error), _LONGEST)}")
        return codes.WRONG_USAGE
    except (ApiError, SandboxError, OSError) as error:
        message = error.message if isinstance(error, ApiError) else str(error)
        console.tell(f"error: {printable(message, _LONGEST)}")
        return codes.COULD_NOT_EXEC


def _run(wanted: Wanted) -> int:
    found = access(wanted.kubeconfig, wanted.context)
    with Wakeup() as wakeup, console.Signals(wakeup, resize=wanted.tty) as signals:
        place = Place(found, wanted.namespace or found.namespace, wanted.name, wakeup)
        outcome = _carried_out(place, wanted, signals)
    if outcome.timed_out:
        console.tell(f"not done within {wanted.timeout:g} s: it and all it started were ended")
        return codes.TIMED_OUT
    if outcome.stopped:
        return _BY_SIGNAL + signals.number
    if outcome.ended.code is None:
        console.tell(f"error: {printable(outcome.ended.problem, _LONGEST)}")
        return codes.COULD_NOT_EXEC
    return outcome.ended.code


def _carried_out(place: Place, wanted: Wanted, signals: console.Signals) -> Outcome:
    mark = new_mark()
    command = Command(
        argv=scripts.run(wanted.command, mark, wanted.cwd, _variables(wanted.env)),
        mark=mark,
        output=console.write,
        source=console.StandardInput() if wanted.stdin else None,
        tty=wanted.tty,
        begun=signals.begun,
    )
    try:
        with console.raw() if wanted.tty else contextlib.nullcontext():
            return carry_out(place, command, wanted.timeout)
    except ApiError as error:
        from ringfence.sdk.troubles import explained  # noqa: PLC0415 - only when it went wrong

        raise explained(place, error) from error


def _variables(pairs: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE, or NAME alone for our own value, as docker has it."""
    split = (pair.partition("=") for pair in pairs)
    return {name: value if equals else os.environ.get(name, "") for name, equals, value in split}
