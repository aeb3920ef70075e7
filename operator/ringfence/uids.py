"""Hands out one uid per Sandbox: a book of who has which, filled from the Sandboxes' statuses.

The status in the cluster is the record; this book only makes the next choice. The search starts at
a place that follows from the Sandbox's own uid, so that two operators that overlap for a moment
would have to hit the same number by chance; resync finds that and the younger Sandbox gives way.
"""

import hashlib
from collections.abc import Iterable

from ringfence.api import Json


class Uids:
    """The book. Not thread-safe: one event loop owns it."""

    def __init__(self, first: int, last: int) -> None:
        self._first = first
        self._size = last - first + 1
        self._owner_of: dict[int, str] = {}
        self._uid_of: dict[str, int] = {}

    def seed(self, sandboxes: Iterable[Json]) -> None:
        """Enters every recorded uid, the oldest Sandbox first: of two with one uid it keeps it."""
        for body in sorted(sandboxes, key=_age):
            recorded = body.get("status", {}).get("uid")
            if recorded is not None:
                self._enter(body["metadata"]["uid"], recorded)

    def claim(self, owner: str, recorded: int | None) -> int | None:
        """The uid of the Sandbox with metadata.uid `owner`.

        Args:
            owner: metadata.uid of the Sandbox.
            recorded: status.uid, if any; kept unless another Sandbox has it or it is out of range.

        Returns:
            A uid, or None when all are taken.
        """
        if owner in self._uid_of:
            return self._uid_of[owner]
        if recorded is not None and self._enter(owner, recorded):
            return recorded
        return self._choose(owner)

    def release(self, owner: str) -> None:
        """Forgets a Sandbox that is gone."""
        uid = self._uid_of.pop(owner, None)
        if uid is not None:
            del self._owner_of[uid]

    def _enter(self, owner: str, uid: int) -> bool:
        in_range = self._first <= uid < self._first + self._size
        if not in_range or self._owner_of.get(uid, owner) != owner or owner in self._uid_of:
            return False
        self._owner_of[uid] = owner
        self._uid_of[owner] = uid
        return True

    def _choose(self, owner: str) -> int | None:
        start = int.from_bytes(hashlib.sha256(owner.encode()).digest()[:8]) % self._size
        for step in range(self._size):
            uid = self._first + (start + step) % self._size
            if self._enter(owner, uid):
                return uid
        return None


def _age(body: Json) -> tuple[str, str]:
    meta = body["metadata"]
    return meta.get("creationTimestamp", ""), meta["uid"]
