"""How other threads tell the main one something: messages, and a descriptor that wakes it."""

import os
from collections import deque
from typing import Generic, TypeVar

_Message = TypeVar("_Message")


class Mailbox(Generic[_Message]):
    """Messages from any thread to the one that selects on it."""

    def __init__(self) -> None:
        self._messages: deque[_Message] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """Readable while there are messages."""
        return self._wake

    def put(self, message: _Message) -> None:
        """Leaves a message; also safe in a signal handler."""
        self._messages.append(message)
        os.eventfd_write(self._wake, 1)

    def take(self) -> list[_Message]:
        """All messages so far, in their order."""
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return []
        return [self._messages.popleft() for _ in range(len(self._messages))]
