"""Waiting for something that says why it is not there yet."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

_POLL_SECONDS: Final = 0.5


class CouldNotRun(Exception):  # noqa: N818 - the name is read as a verdict
    """The table could not be run at all; the message says why."""


async def until(what: str, seconds: float, look: Callable[[], Awaitable[str]]) -> None:
    """Returns once `look` has nothing to say any more.

    Raises:
        CouldNotRun: It did not come in time; names `what` and what was said last.
    """
    said = ""
    try:
        async with asyncio.timeout(seconds):
            while said := await look():  # noqa: ASYNC110 - the other side does not call us
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        message = f"not within {seconds:.0f} s: {what}; last: {said}"
        raise CouldNotRun(message) from error
