"""Exit codes of the command line, and the one place where errors become them."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Final

import typer

from ringfence.attack.waiting import CouldNotRun
from ringfence.cli.terminal import Terminal
from ringfence.kinds import ApiError

OK: Final = 0
NOT_HELD: Final = 1
COULD_NOT_RUN: Final = 3  # 2 is a wrong usage, as typer has it
INTERRUPTED: Final = 130


def run(work: Coroutine[Any, Any, int], terminal: Terminal) -> typer.Exit:
    """Runs a command to its end; Ctrl-C and SIGTERM let it clean up."""
    try:
        return typer.Exit(asyncio.run(_interruptible(work)))
    except ApiError as error:
        terminal.error(str(error) if error.status else error.message)
        return typer.Exit(COULD_NOT_RUN)
    except CouldNotRun as error:
        terminal.error(str(error))
        return typer.Exit(COULD_NOT_RUN)
    except (asyncio.CancelledError, KeyboardInterrupt):
        terminal.error("interrupted")
        return typer.Exit(INTERRUPTED)


async def _interruptible(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task
