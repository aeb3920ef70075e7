"""Which watch events tell nothing new: those of versions that the last pass has seen or written.

Every write of ours comes back as an event, and a pass for it would read five objects to find that
nothing differs. Whatever cannot be told by versions (a class, a node, a full list, a deletion) is
news. Not thread-safe: one event loop owns it.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from ringfence.api import Json
from ringfence.workqueue import Key

_NEWS: Final = ""
"""A version that no object has."""


class Verdict(NamedTuple):
    """Whether a pass over a key is needed."""

    needed: bool
    again: float | None = None
    """If it is not: seconds until the last pass wanted to be repeated; None: never."""


class _Rest(NamedTuple):
    versions: frozenset[str]
    due: float | None


class Freshness:
    """What the last pass over each key came to rest with, and what was told since."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Nothing is known yet, so every pass is needed.

        Args:
            clock: Seconds of a clock that is never set back.
        """
        self._clock = clock
        self._rest: dict[Key, _Rest] = {}
        self._told: dict[Key, set[str]] = {}

    def told(self, key: Key, body: Json) -> None:
        """An event carried this version of the Sandbox or of a child."""
        self._told.setdefault(key, set()).add(version(body))

    def news(self, key: Key) -> None:
        """Something else happened that may concern the key."""
        self._told.setdefault(key, set()).add(_NEWS)

    def check(self, key: Key) -> Verdict:
        """Whether a pass is needed for all that was told since the last one; forgets that."""
        told, rest = self._told.pop(key, None), self._rest.get(key)
        if not told or rest is None or not told <= rest.versions:
            return Verdict(needed=True)
        if rest.due is None:
            return Verdict(needed=False)
        left = rest.due - self._clock()
        return Verdict(needed=left <= 0, again=max(left, 0.0))

    def begin(self, key: Key) -> None:
        """A pass begins; until it comes to rest nothing counts as seen."""
        self._rest.pop(key, None)

    def settle(self, key: Key, seen: Iterable[str], requeue_after: float | None) -> None:
        """A pass came to rest, having read or written these versions."""
        due = None if requeue_after is None else self._clock() + requeue_after
        self._rest[key] = _Rest(frozenset(seen), due)


def version(body: Json) -> str:
    """One version of one object."""
    meta = body["metadata"]
    return f"{meta.get('uid', '')}/{meta.get('resourceVersion', '')}"
