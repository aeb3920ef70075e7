"""Writes to the API server, in a thread of its own: a slow answer delays no limit. I/O.

What is written, and whether again after a failure, is decided by whoever put it in; the outcome is
told to them.
"""

import logging
import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ringfence.node.api import ApiError, Client, Unreachable

Job = Callable[[Client], Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """A job ended."""

    key: str
    answer: Any
    error: str | None


class Outbox:
    """Jobs in their order, one after the other."""

    def __init__(self, client: Client, tell: Callable[[Written], None]) -> None:
        self._client = client
        self._tell = tell
        self._jobs: queue.SimpleQueue[tuple[str, Job]] = queue.SimpleQueue()

    def put(self, key: str, job: Job) -> None:
        """Adds a job; `key` comes back with its outcome."""
        self._jobs.put((key, job))

    def run(self) -> None:
        """Works for ever."""
        while True:
            self.work_one()

    def work_one(self) -> None:
        """Waits for a job and does it."""
        key, job = self._jobs.get()
        try:
            answer, error = job(self._client), None
        except (ApiError, Unreachable) as problem:
            answer, error = None, str(problem)
            _log.warning("not written (%s): %s", key, problem)
        self._tell(Written(key, answer, error))
