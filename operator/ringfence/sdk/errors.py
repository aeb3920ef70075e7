"""What can go wrong, as types. Every message says what to do about it."""

from typing import NamedTuple


class CommandResult(NamedTuple):
    """How a command ended, and what it wrote.

    Attributes:
        stdout: The beginning of its standard output, as far as it is kept.
        stderr: The same of its standard error.
        exit_code: Its exit status; None if it was ended before it had one.
        truncated: Whether it wrote more than is kept.
    """

    stdout: str
    stderr: str
    exit_code: int | None
    truncated: bool = False


class SandboxError(Exception):
    """Base of all errors of the SDK."""


class InvalidArgument(SandboxError, ValueError):  # noqa: N818 - as the field calls it
    """Something that can never work was asked for."""


class NotFound(SandboxError):  # noqa: N818 - as the field calls it
    """There is no such Sandbox, or no such file in it."""


class NotReady(SandboxError):  # noqa: N818 - as the field calls it
    """The Sandbox is not Ready, and will not be soon enough."""


class Unavailable(SandboxError):  # noqa: N818 - as the field calls it
    """The cluster cannot be reached, or does not permit it."""


class Stopped(SandboxError):  # noqa: N818 - as the field calls it
    """It was asked to stop."""


class FileError(SandboxError):
    """A file could not be read, written or copied."""


class ProcessesLeft(SandboxError):  # noqa: N818 - says what is the case
    """Something of a command may still run. Deleting the Sandbox ends it."""


class CommandError(SandboxError):
    """A command did not end well; what it wrote is in `result`."""

    def __init__(self, message: str, result: CommandResult) -> None:
        super().__init__(message)
        self.result = result


class CommandFailed(CommandError):  # noqa: N818 - as the field calls it
    """A command ended with an exit status other than 0."""


class CommandTimedOut(CommandError, TimeoutError):  # noqa: N818 - as the field calls it
    """A command took too long; it and all it started were ended."""
