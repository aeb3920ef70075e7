"""Which Sandboxes there are: learnt from watch events, put right by a full list now and then.

kopf forgets deletions that happen while a watch is broken, so events alone are not enough.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from ringfence.api import Json
from ringfence.freshness import Freshness
from ringfence.kinds import (
    NETWORK_POLICY,
    SANDBOX,
    SANDBOX_CLASS,
    SANDBOX_NODE,
    Api,
    ApiError,
    Kind,
)
from ringfence.workqueue import Key, WorkQueue

RETRY_SECONDS: Final = 5.0
"""Pause after a list that failed."""
_SPREAD: Final = 0.1
"""Part of the interval over which a pass spreads its keys, so that a Sandbox that was just created
does not wait behind thousands that need nothing."""

_log = logging.getLogger(__name__)


class _Entry(NamedTuple):
    class_name: str | None
    node_name: str | None
    phase: str


class Known:
    """Keys, classes, nodes and phases of all Sandboxes; never their bodies."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry] = {}

    def enter(self, body: Json) -> Key:
        """Notes a Sandbox and returns its key."""
        key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
        class_name = body.get("spec", {}).get("className")
        status = body.get("status", {})
        phase = status.get("phase", "Pending")
        self._entries[key] = _Entry(class_name, status.get("nodeName"), phase)
        return key

    def forget(self, key: Key) -> None:
        """Drops a Sandbox that is gone."""
        self._entries.pop(key, None)

    def keys(self) -> set[Key]:
        """All of them, as a copy."""
        return set(self._entries)

    def of_class(self, name: str) -> list[Key]:
        """Those that name this class, and those that name none: a default may have changed."""
        return [k for k, entry in self._entries.items() if entry.class_name in (name, None)]

    def of_node(self, name: str) -> list[Key]:
        """Those on this node, and those that have none yet: they may wait for one."""
        return [k for k, entry in self._entries.items() if entry.node_name in (name, None)]

    def of_namespace(self, namespace: str) -> list[Key]:
        """Those in this namespace."""
        return [key for key in self._entries if key.namespace == namespace]

    def phases(self) -> dict[str, int]:
        """How many Sandboxes are in each phase."""
        return Counter(entry.phase for entry in self._entries.values())


class Resync:
    """Lists all Sandboxes and has each one reconciled, also those that vanished."""

    def __init__(
        self,
        api: Api,
        queue: WorkQueue,
        known: Known,
        freshness: Freshness,
        on_listed: Callable[[Kind, list[Json]], None],
        on_pass: Callable[[], None],
    ) -> None:
        """A resync that has not run yet.

        Args:
            api: Where to list.
            queue: Gets every key.
            known: Put right by each pass.
            freshness: Told that each key has news, or the pass would be passed over.
            on_listed: Gets the bodies of each list before any key is queued.
            on_pass: Called after each attempt, good or bad: the task is alive.
        """
        self._api = api
        self._queue = queue
        self._known = known
        self._freshness = freshness
        self._on_listed = on_listed
        self._on_pass = on_pass

    async def first(self) -> None:
        """Passes until one succeeds. Nothing may be reconciled before: uids would be given twice.

        The nodes must be known, too, or every Sandbox would seem to be on a lost one, and the
        NetworkPolicies, or those that one opens would seem fenced for a moment. The classes
        are asked for as kopf would watch a kind that is not there yet in vain.
        """
        await self._persist(spread=0.0, also=(SANDBOX_CLASS, SANDBOX_NODE, NETWORK_POLICY))

    async def run(self, interval: float) -> None:
        """Passes every `interval` seconds until cancelled."""
        while True:
            await asyncio.sleep(interval)
            await self._persist(spread=interval * _SPREAD, also=())

    async def _persist(self, *, spread: float, also: Iterable[Kind]) -> None:
        while True:
            if await self._attempt(spread=spread, also=also):
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _attempt(self, *, spread: float, also: Iterable[Kind]) -> bool:
        try:
            for kind in also:
                self._on_listed(kind, await self._api.list(kind))
            await self._pass(spread)
        except ApiError as error:
            _log.warning("resync failed, next try in %.0f s: %s", RETRY_SECONDS, error)
            return False
        finally:
            self._on_pass()
        return True

    async def _pass(self, spread: float) -> None:
        before = self._known.keys()
        bodies = await self._api.list(SANDBOX)
        self._on_listed(SANDBOX, bodies)
        listed = [self._known.enter(body) for body in bodies]
        for position, key in enumerate(listed):
            self._freshness.news(key)
            self._queue.add(key, after=spread * position / len(listed))
        vanished = before.difference(listed)
        for key in vanished:
            self._known.forget(key)
            self._freshness.news(key)
            self._queue.add(key)
        _log.info("resync: %d Sandboxes, %d vanished unnoticed", len(listed), len(vanished))
