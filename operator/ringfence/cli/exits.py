"""Exit codes of the command line, and the one place where errors become them."""

import signal
from collections.abc import Callable

import typer

from ringfence.cli.codes import COULD_NOT_RUN, INTERRUPTED, NOT_HELD, OK, WRONG_USAGE
from ringfence.cli.terminal import Terminal
from ringfence.kinds import ApiError
from ringfence.sdk.errors import InvalidArgument, NotReady, SandboxError

__all__ = ["COULD_NOT_RUN", "INTERRUPTED", "NOT_HELD", "OK", "guarded"]


def guarded(work: Callable[[], int], terminal: Terminal) -> typer.Exit:
    """Runs a command to its end; Ctrl-C, SIGTERM and SIGHUP let it clean up."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        return typer.Exit(work())
    except KeyboardInterrupt:
        terminal.error("interrupted")
        return typer.Exit(INTERRUPTED)
    except BrokenPipeError:
        return typer.Exit(COULD_NOT_RUN)  # nobody reads any more
    except (ApiError, SandboxError, OSError) as error:
        terminal.error(_message(error))
        return typer.Exit(_code(error))


def _message(error: Exception) -> str:
    if isinstance(error, ApiError) and not error.status:
        return error.message
    return str(error)


def _code(error: Exception) -> int:
    if isinstance(error, NotReady):
        return NOT_HELD
    return WRONG_USAGE if isinstance(error, InvalidArgument) else COULD_NOT_RUN
