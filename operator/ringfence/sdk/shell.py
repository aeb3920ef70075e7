"""Runs small pieces of shell for files in a Sandbox. I/O.

The image needs /bin/sh and the usual small programs; each piece says which. What they print is the
word of a hostile program.
"""

from collections.abc import Sequence
from typing import Final

from ringfence.client.remote import STDOUT, Input, Output
from ringfence.kinds import ApiError
from ringfence.printable import printable
from ringfence.sdk import scripts
from ringfence.sdk.errors import FileError, NotFound, Stopped, Unavailable
from ringfence.sdk.keeping import Keeping
from ringfence.sdk.place import Command, Place, carry_out, new_mark
from ringfence.sdk.troubles import explained

MISSING: Final = 44
"""Exit status of our pieces of shell for what does not exist."""
_NO_PROGRAM: Final = 127
_LONGEST: Final = 64 * 1024


class Piece:
    """One piece of shell with its arguments, and what it wrote to standard error."""

    def __init__(self, place: Place, script: str, arguments: Sequence[str]) -> None:
        self._place = place
        self._argv = [scripts.SHELL, "-c", script, "ringfence", *arguments]
        self._said = Keeping(_LONGEST)

    def run(self, take: Output, source: Input | None = None, timeout: float | None = None) -> int:
        """Runs it; `take` gets its standard output. Its exit status.

        Raises:
            Unavailable: It could not be run, or was cut off.
            FileError: It took longer than `timeout`.
            Stopped: It was asked to stop.
        """

        def output(channel: int, data: bytes) -> None:
            if channel == STDOUT:
                take(channel, data)
            else:
                self._said.take(data)

        mark = new_mark()
        command = Command(scripts.run(self._argv, mark), mark, output, source)
        try:
            outcome = carry_out(self._place, command, timeout)
        except ApiError as error:
            raise explained(self._place, error) from error
        if outcome.stopped:
            message = "stopped"
            raise Stopped(message)
        if outcome.timed_out:
            message = f"not done within {timeout:g} s"
            raise FileError(message)
        if outcome.ended.code is None:
            raise Unavailable(outcome.ended.problem)
        return outcome.ended.code

    @property
    def said(self) -> str:
        """The last line that it wrote to standard error, fit for a terminal."""
        return printable(self._said.text.strip().rpartition("\n")[2])

    def judge(self, code: int, what: str) -> None:
        """Nothing if all went well.

        Raises:
            NotFound: `what` does not exist.
            FileError: It did not work, in the words of the Sandbox.
        """
        if code == MISSING:
            message = f"{what}: no such file or directory in Sandbox {self._place.name}"
            raise NotFound(message)
        if code == _NO_PROGRAM:
            message = f"{what}: the image lacks a program: {self.said}"
            raise FileError(message)
        if code != 0:
            message = f"{what}: {self.said or f'exit status {code}'}"
            raise FileError(message)


def kept(place: Place, script: str, arguments: Sequence[str], what: str, longest: int) -> bytes:
    """What a piece of shell writes, if that is not too much.

    Raises:
        FileError: It did not work, or it is.
    """
    piece = Piece(place, script, arguments)
    out = Keeping(longest)
    code = piece.run(lambda _, data: _bounded(out, data, what, longest))
    piece.judge(code, what)
    return out.data


def _bounded(out: Keeping, data: bytes, what: str, longest: int) -> None:
    out.take(data)
    if out.truncated:
        message = f"{what}: more than {longest} bytes; raise the limit, or download it"
        raise FileError(message)


def inside(path: str) -> str:
    """A path that no program takes for an option."""
    return f"./{path}" if path.startswith("-") else path
