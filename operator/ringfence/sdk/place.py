"""Where commands run, and running one so that nothing of it is left behind. I/O.

The end of a command is the business of whoever started it: if it takes too long, if it is stopped,
if the connection breaks or an exception (Ctrl-C) comes in between, everything that it started is
ended before the caller hears of it.
"""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from ringfence import names
from ringfence.client.access import Access
from ringfence.client.remote import Ended, Input, Output, Question, Remote, start
from ringfence.client.wakeup import Wakeup
from ringfence.kinds import ApiError, Container
from ringfence.sdk import scripts
from ringfence.sdk.errors import ProcessesLeft

if TYPE_CHECKING:
    from ringfence.client.rest import Rest

_NOT_FOUND: Final = 404
_ATTEMPTS: Final = 5
_ATTEMPT_SECONDS: Final = 10.0
_END_SECONDS: Final = 30.0
_SETTLE_SECONDS: Final = 1.0


class Place(NamedTuple):
    """One Sandbox, as its user reaches it.

    Attributes:
        access: The cluster.
        namespace: The Sandbox's namespace.
        name: The Sandbox's name.
        wakeup: Stops what is being done, from another thread or a signal handler.
    """

    access: Access
    namespace: str
    name: str
    wakeup: Wakeup | None = None

    @property
    def agent(self) -> Container:
        """The container that commands run in."""
        return Container(self.namespace, names.child_name(self.name), names.AGENT_CONTAINER)

    def rest(self) -> "Rest":
        """A connection of its own, for one thread."""
        from ringfence.client.rest import Rest  # noqa: PLC0415 - `exec` does without

        return Rest(self.access)


class Command(NamedTuple):
    """What to run, and what to do with its streams.

    Attributes:
        argv: Made by scripts.run.
        mark: The mark in it.
        output: Told what it writes.
        source: Its standard input, if it gets one.
        tty: Whether it gets a terminal.
        begun: Called once it runs, and whenever the wakeup is nudged.
    """

    argv: list[str]
    mark: str
    output: Output
    source: Input | None = None
    tty: bool = False
    begun: Callable[[Remote], None] = lambda _: None


class Outcome(NamedTuple):
    """How a command ended, or that it was ended.

    Attributes:
        ended: Exit status, or why there is none.
        timed_out: It took too long; nothing of it is left.
        stopped: It was asked to stop; nothing of it is left.
    """

    ended: Ended
    timed_out: bool = False
    stopped: bool = False


def new_mark() -> str:
    """A number that no other command has."""
    return str(scripts.LOWEST_MARK + int.from_bytes(os.urandom(5)))


def carry_out(place: Place, command: Command, timeout: float | None = None) -> Outcome:
    """Runs a command to its end, or ends it.

    Raises:
        ApiError: It was not started.
        ProcessesLeft: It was to be ended, and may not have been.
    """
    until = None if timeout is None else time.monotonic() + timeout
    remote = _started(place, command)
    try:
        return _followed(place, command, remote, until)
    finally:
        remote.close()


def _followed(place: Place, command: Command, remote: Remote, until: float | None) -> Outcome:
    try:
        by_itself = _driven(remote, place.wakeup, until, command)
    except BaseException:
        _end(place, command.mark, remote)
        raise
    if not (by_itself and remote.answered):
        _end(place, command.mark, remote)
    stopped = not by_itself and place.wakeup is not None and place.wakeup.stopped
    ended = remote.ended or Ended(None, "it was ended")
    return Outcome(ended, timed_out=not by_itself and not stopped, stopped=stopped)


def _started(place: Place, command: Command) -> Remote:
    connection = place.access.connect()
    question = Question(
        place.agent, command.argv, stdin=command.source is not None, tty=command.tty
    )
    try:
        return start(place.access, question, command.output, command.source, connection)
    except BaseException as error:
        # Without a refusal it may run all the same.
        if not (isinstance(error, ApiError) and error.status):
            _end(place, command.mark, None)
        raise


def _driven(remote: Remote, wakeup: Wakeup | None, until: float | None, command: Command) -> bool:
    """Whether the command ended by itself."""
    command.begun(remote)
    while not remote.drive(wakeup, until):
        late = until is not None and time.monotonic() >= until
        if late or (wakeup is not None and wakeup.stopped):
            return False
        command.begun(remote)
    return True


def _end(place: Place, mark: str, remote: Remote | None) -> None:
    """Ends everything under a mark.

    A command that was asked for a moment ago may start after we have looked for it, so the end of
    its connection counts as well.

    Raises:
        ProcessesLeft: Something may still run.
    """
    said = ""
    if remote is not None:
        remote.mute()
    until = time.monotonic() + _END_SECONDS
    for attempt in range(_ATTEMPTS):
        said = _swept(place, mark)
        if not said and _over(remote, attempt):
            return
        if time.monotonic() > until:
            break
    if said and remote is not None and remote.answered:
        return  # the container ended, and took everything with it
    message = (
        f"something of the command may still run in Sandbox {place.name}: {said or 'it goes on'}; "
        f"`ringfence delete {place.name} -n {place.namespace}` ends it"
    )
    raise ProcessesLeft(message)


def _over(remote: Remote | None, attempt: int) -> bool:
    if remote is None:
        time.sleep(_SETTLE_SECONDS / 2)
        return attempt > 1
    return remote.drive(until=time.monotonic() + _SETTLE_SECONDS)


def _swept(place: Place, mark: str) -> str:
    """Nothing once nothing is left; else what went wrong."""
    heard = bytearray()
    try:
        question = Question(place.agent, scripts.kill(mark), seconds=_ATTEMPT_SECONDS)
        killer = start(place.access, question, lambda _, data: heard.extend(data[:200]))
    except ApiError as error:
        if error.status == _NOT_FOUND:
            return ""  # the Pod is gone
        time.sleep(_SETTLE_SECONDS / 2)
        return str(error)
    try:
        killer.drive(until=time.monotonic() + _ATTEMPT_SECONDS)
    finally:
        killer.close()
    if killer.ended is not None and killer.ended.code == 0:
        return ""
    problem = killer.ended.problem if killer.ended else "no answer"
    return problem or heard[:200].decode(errors="replace") or "some processes do not end"
