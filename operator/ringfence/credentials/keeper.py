"""When to ask for credentials, and when to give up.

They are renewed long before they expire, so that STS may be out of reach for minutes and nobody
notices. Who gives up clears the file first: no credentials rather than old ones. The kubelet starts
the program again, later each time.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from ringfence.credentials.files import CredentialsFile
from ringfence.credentials.sts import Credentials, RefusedError, Role, Sts, UnreachableError

_log = logging.getLogger(__name__)

RENEW_BEFORE: Final = timedelta(minutes=5)
PATIENCE: Final = timedelta(seconds=30)
"""How long the first credentials may take; the proxy may still be starting."""

_EAGER_SECONDS: Final = 0.1
_RETRY_SECONDS: Final = 15.0
"""Pauses between attempts: short at first, as each delays the agent's start."""


@dataclass(frozen=True)
class Clock:
    """The time, and how it passes."""

    now: Callable[[], datetime]
    sleep: Callable[[float], None]


class Keeper:
    """Keeps one file filled."""

    def __init__(self, sts: Sts, role: Role, token: Path, file: CredentialsFile) -> None:
        self._sts = sts
        self._role = role
        self._token = token
        self._file = file

    def run(self, clock: Clock) -> None:
        """Never ends well.

        Raises:
            RefusedError: STS gives no credentials for this role and token.
            UnreachableError: There are none, or none any more, as STS cannot be reached.
        """
        self._file.prepare()
        try:
            self._run(clock)
        except (RefusedError, UnreachableError):
            self._file.clear()
            raise

    def _run(self, clock: Clock) -> None:
        deadline, pause = clock.now() + PATIENCE, _EAGER_SECONDS
        while True:
            given = self._ask(clock, deadline, pause)
            self._file.write(given)
            _log.info("credentials of %s until %s", self._role.arn, given.expires.isoformat())
            clock.sleep(_seconds(given.expires - RENEW_BEFORE - clock.now()))
            deadline, pause = given.expires, _RETRY_SECONDS

    def _ask(self, clock: Clock, deadline: datetime, pause: float) -> Credentials:
        """Credentials, however often it takes to get them until the deadline."""
        while True:
            try:
                return self._sts.assume(self._role, self._token.read_text())
            except UnreachableError as error:
                if clock.now() >= deadline:
                    raise
                _log.info("%s; trying again", error)
            clock.sleep(pause)
            pause = min(1.2 * pause, _RETRY_SECONDS)


def _seconds(left: timedelta) -> float:
    """At least a moment: an answer that is out of date at once must not make a busy loop."""
    return max(left.total_seconds(), 1.0)
