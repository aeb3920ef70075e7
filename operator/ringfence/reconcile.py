"""The imperative shell: read everything, ask plan.py, write what it says, until it says nothing.

It decides nothing itself. Whatever fails is tried again with backoff by the work queue.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from ringfence import names
from ringfence.acceptance import Observed, may_have_gateway
from ringfence.api import Json
from ringfence.books import Books
from ringfence.freshness import version
from ringfence.kinds import (
    CHILDREN,
    GATEWAY_CHILDREN,
    SANDBOX,
    SANDBOX_CLASS,
    Api,
    ApiError,
    Kind,
    kind_of,
)
from ringfence.plan import Plan, plan, rejection
from ringfence.settings import Settings
from ringfence.uids import Uids
from ringfence.workqueue import Key

MAX_STEPS: Final = 8
"""Steps in one pass; a healthy create takes five. More means that somebody undoes our writes."""

_REFUSALS: Final = frozenset({400, 403, 404, 409, 422})
"""Answers that a change of the cluster can cure, but not the next second."""


class Unsettled(Exception):  # noqa: N818 - tells the queue to come back later
    """Somebody undoes what is written; backing off keeps the fight slow."""


class Reconciler:
    """Brings one Sandbox to what its spec says. Safe to run at any time, any number of times."""

    def __init__(
        self,
        api: Api,
        settings: Settings,
        uids: Uids,
        books: Books,
        clock: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._settings = settings
        self._uids = uids
        self._books = books
        self._clock = clock
        self._owners: dict[Key, str] = {}
        self._classes: tuple[Json, ...] | None = None

    async def __call__(self, key: Key) -> float | None:
        """Reconciles `key`.

        Returns:
            Seconds until it should be looked at again, or None to wait for an event.

        Raises:
            ApiError: The API server is unavailable or refuses a child.
            Unsettled: The Sandbox did not come to rest within MAX_STEPS.
        """
        verdict = self._books.freshness.check(key)
        if not verdict.needed:
            return verdict.again
        self._books.freshness.begin(key)
        seen = await self._observe(key)
        return None if seen is None else await self._converge(key, seen)

    async def _converge(self, key: Key, seen: Observed) -> float | None:
        versions = {*_versions(seen)}
        for _ in range(MAX_STEPS):
            todo = plan(seen, self._settings)
            seen = await self._write(seen, todo)
            versions.update(_versions(seen))
            if not todo.again:
                self._books.freshness.settle(key, versions, todo.requeue_after)
                return todo.requeue_after
        message = f"{key.namespace}/{key.name}: still not as planned after {MAX_STEPS} steps"
        raise Unsettled(message)

    def classes_changed(self) -> None:
        """Forgets the classes; the next pass reads them again."""
        self._classes = None

    async def _observe(self, key: Key) -> Observed | None:
        body = await self._api.get(SANDBOX, key.namespace, key.name)
        if body is None:
            self._forget(key)
            return None
        owner = self._owners[key] = body["metadata"]["uid"]
        children = self._read(CHILDREN, key.namespace, names.child_name(key.name))
        classes, found = await asyncio.gather(self._read_classes(body), children)
        uid = self._uids.claim(owner, body.get("status", {}).get("uid"))
        return Observed(
            body=body,
            classes=classes,
            children=found,
            uid=uid,
            now=self._clock(),
            nodes=self._books.heartbeats.nodes,
            policies=self._books.policies.of_namespace(key.namespace),
            gateway=await self._gateway(key, body, classes),
        )

    async def _gateway(self, key: Key, body: Json, classes: tuple[Json, ...]) -> dict[Kind, Json]:
        """Asked for only where there may be one: three calls of each pass."""
        if not may_have_gateway(body, classes):
            return {}
        return await self._read(GATEWAY_CHILDREN, key.namespace, names.gateway_name(key.name))

    def _forget(self, key: Key) -> None:
        owner = self._owners.pop(key, None)
        if owner is not None:
            self._uids.release(owner)

    async def _read_classes(self, body: Json) -> tuple[Json, ...]:
        """The few classes are kept; a watch event forgets them."""
        if self._classes is None:
            self._classes = tuple(await self._api.list(SANDBOX_CLASS))
        name = body["spec"].get("className")
        if name is None:
            return self._classes
        return tuple(c for c in self._classes if c["metadata"]["name"] == name)

    async def _read(self, kinds: Sequence[Kind], namespace: str, name: str) -> dict[Kind, Json]:
        found = await asyncio.gather(*(self._api.get(kind, namespace, name) for kind in kinds))
        return {k: body for k, body in zip(kinds, found, strict=True) if body is not None}

    async def _write(self, seen: Observed, todo: Plan) -> Observed:
        """Writes the step; what the API server answers is the state that the next step reads."""
        try:
            after = await self._write_children(seen, todo)
        except ApiError as error:
            if error.status in _REFUSALS:
                await self._write_status(seen, rejection(seen, error))
            raise
        return replace(after, body=await self._write_status(seen, todo))

    async def _write_children(self, seen: Observed, todo: Plan) -> Observed:
        namespace = seen.owner.namespace
        for removal in todo.delete:
            await self._api.delete(removal.kind, namespace, removal.name, removal.uid)
            seen = seen.without_object(removal.kind, removal.name)
        for body in todo.apply:
            seen = seen.with_object(kind_of(body), await self._api.apply(body))
        return seen

    async def _write_status(self, seen: Observed, todo: Plan) -> Json:
        """The status first: an Event tells of a transition that is on record."""
        body = seen.body
        if todo.status is not None:
            body = await self._api.replace_status({**body, "status": todo.status})
        for event in todo.events:
            await self._api.create_event(event)
        return body


def _versions(seen: Observed) -> Iterator[str]:
    yield version(seen.body)
    yield from (version(child) for child in (*seen.children.values(), *seen.gateway.values()))
