"""When what is due: at most one moment per key. Pure; the clock is an argument."""

from collections.abc import Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)


class Schedule(Generic[_Key]):
    """Moments by key; the sooner of two for one key counts."""

    def __init__(self) -> None:
        self._due: dict[_Key, float] = {}

    def at(self, key: _Key, moment: float) -> None:
        """Makes a key due, at the latest at this moment."""
        self._due[key] = min(moment, self._due.get(key, moment))

    def pop(self, now: float) -> list[_Key]:
        """The keys that are due, the longest due first."""
        due = sorted((moment, key) for key, moment in self._due.items() if moment <= now)
        for _, key in due:
            del self._due[key]
        return [key for _, key in due]

    def drop(self, key: _Key) -> None:
        """Forgets a key."""
        self._due.pop(key, None)

    def wait(self, now: float) -> float | None:
        """Seconds until the next key is due."""
        return max(0.0, min(self._due.values()) - now) if self._due else None
