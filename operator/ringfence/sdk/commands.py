"""Commands in a Sandbox. I/O."""

from collections.abc import Mapping, Sequence
from typing import Final, TypedDict, Unpack

from ringfence.client.remote import STDOUT, Pieces
from ringfence.kinds import ApiError
from ringfence.printable import printable
from ringfence.sdk import scripts
from ringfence.sdk.errors import CommandFailed, CommandResult, CommandTimedOut, Stopped, Unavailable
from ringfence.sdk.keeping import LONGEST, Keeping, OnText
from ringfence.sdk.place import Command, Outcome, Place, carry_out, new_mark
from ringfence.sdk.troubles import explained

DEFAULT_SECONDS: Final = 60.0


class RunOptions(TypedDict, total=False):
    """How a command is run.

    Attributes:
        cwd: Directory that it starts in; else the container's, /work.
        env: Variables beside those of the container.
        stdin: What it reads; without it, nothing.
        timeout: Seconds until it and all it started are ended; None waits for ever.
        on_stdout: Told what it writes, as it comes.
        on_stderr: The same of its standard error.
        check: Whether an exit status other than 0 raises CommandFailed; True unless said otherwise.
        max_output: Bytes of each stream that the result keeps.
    """

    cwd: str
    env: Mapping[str, str]
    stdin: str | bytes
    timeout: float | None
    on_stdout: OnText
    on_stderr: OnText
    check: bool
    max_output: int


class Commands:
    """Runs commands in one Sandbox."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def run(self, command: str | Sequence[str], **options: Unpack[RunOptions]) -> CommandResult:
        """Runs a command to its end.

        Args:
            command: A line for the shell, or the words of a command, which no shell looks at.
            options: See RunOptions.

        Raises:
            CommandFailed: Its exit status is not 0, unless `check=False`.
            CommandTimedOut: It took longer than `timeout`. Nothing of it is left.
            NotFound: There is no such Sandbox.
            NotReady: It has no container that runs.
            Unavailable: The cluster cannot be reached, or does not permit it.
        """
        argv = scripts.line(command) if isinstance(command, str) else list(command)
        longest = options.get("max_output", LONGEST)
        out = Keeping(longest, options.get("on_stdout"))
        err = Keeping(longest, options.get("on_stderr"))
        outcome = self._carried_out(argv, out, err, options)
        out.finish()
        err.finish()
        code = None if outcome.timed_out else outcome.ended.code
        truncated = out.truncated or err.truncated
        result = CommandResult(out.text, err.text, code, truncated=truncated)
        _judge(outcome, result, options)
        return result

    def _carried_out(
        self, argv: list[str], out: Keeping, err: Keeping, options: RunOptions
    ) -> Outcome:
        mark = new_mark()
        stdin = options.get("stdin")
        given = stdin.encode() if isinstance(stdin, str) else stdin
        command = Command(
            argv=scripts.run(argv, mark, options.get("cwd"), options.get("env")),
            mark=mark,
            output=lambda channel, data: (out if channel == STDOUT else err).take(data),
            source=None if given is None else Pieces(iter([given] if given else [])),
        )
        try:
            return carry_out(self._place, command, options.get("timeout", DEFAULT_SECONDS))
        except ApiError as error:
            raise explained(self._place, error) from error


def _judge(outcome: Outcome, result: CommandResult, options: RunOptions) -> None:
    if outcome.timed_out:
        seconds = options.get("timeout", DEFAULT_SECONDS)
        message = f"not done within {seconds:g} s; it and all it started were ended"
        raise CommandTimedOut(message, result)
    if outcome.stopped:
        message = "stopped; the command and all it started were ended"
        raise Stopped(message)
    if result.exit_code is None:
        raise Unavailable(outcome.ended.problem)
    if result.exit_code != 0 and options.get("check", True):
        last = printable(result.stderr.strip().rpartition("\n")[2])
        message = f"exit status {result.exit_code}" + (f": {last}" if last else "")
        raise CommandFailed(message, result)
