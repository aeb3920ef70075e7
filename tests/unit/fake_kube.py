"""A small API server in memory: enough of get, list, apply, delete and status for reconcile.

It keeps objects, counts writes, gives uids and resource versions, and fails on demand. It does not
merge: an applied object replaces the stored one, as Ringfence applies whole objects.
"""

import copy
from collections import Counter
from collections.abc import Callable, Mapping

from ringfence.api import Json
from ringfence.kinds import POD, SANDBOX, SERVICE, ApiError, Kind, kind_of

Fault = Callable[[str, Kind], ApiError | None]


class FakeKube:
    """Implements ringfence.kinds.Api."""

    def __init__(self) -> None:
        self.objects: dict[tuple[Kind, str, str], Json] = {}
        self.events: list[Json] = []
        self.writes: Counter[str] = Counter()
        self.log: list[str] = []
        self.fault: Fault = lambda _verb, _kind: None
        self.graceful = False
        """True: a deleted Pod ends only when the test removes it, as with a real kubelet."""
        self._serial = 0

    def put(self, kind: Kind, body: Json) -> Json:
        """Stores an object as a user would create it."""
        body = copy.deepcopy(body)
        self._serial += 1
        meta = body["metadata"]
        meta.setdefault("uid", f"uid-{self._serial}")
        meta.setdefault("creationTimestamp", f"2026-01-01T12:00:{self._serial % 60:02}Z")
        meta.setdefault("generation", 1)
        meta["resourceVersion"] = str(self._serial)
        self.objects[kind, meta.get("namespace", ""), meta["name"]] = body
        return copy.deepcopy(body)

    def pod(self, namespace: str, name: str) -> Json:
        """The stored Pod itself, to play kubelet with."""
        return self.objects[POD, namespace, name]

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        self._maybe_fail("get", kind)
        found = self.objects.get((kind, namespace, name))
        return copy.deepcopy(found)

    async def list(self, kind: Kind, *, labels: Mapping[str, str] | None = None) -> list[Json]:
        self._maybe_fail("list", kind)
        assert labels is None
        return [copy.deepcopy(o) for (k, _, _), o in self.objects.items() if k == kind]

    async def apply(self, obj: Json) -> Json:
        kind = kind_of(obj)
        self._maybe_fail("apply", kind)
        meta = obj["metadata"]
        self._count("apply", kind)
        old = self.objects.get((kind, meta["namespace"], meta["name"]))
        kept = {k: old["metadata"][k] for k in ("uid", "creationTimestamp")} if old else {}
        status = {"status": old["status"]} if old and "status" in old else {}
        merged = {**obj, **status, "metadata": {**meta, **kept}}
        return self.put(kind, self._with_address(merged, old) if kind == SERVICE else merged)

    def _with_address(self, service: Json, old: Json | None) -> Json:
        """A Service keeps its address, gets the one that it asks for, or the next one."""
        kept = old["spec"].get("clusterIP") if old else None
        asked: str | None = service["spec"].get("clusterIP")
        if kept and asked and kept != asked:
            raise ApiError(422, "Invalid", "spec.clusterIPs[0]: field is immutable")
        address = asked or kept or f"10.96.1.{self._serial % 250 + 1}"
        return {
            **service,
            "spec": {**service["spec"], "clusterIP": address, "clusterIPs": [address]},
        }

    async def create(self, obj: Json) -> Json:
        kind, meta = kind_of(obj), obj["metadata"]
        self._maybe_fail("create", kind)
        if (kind, meta["namespace"], meta["name"]) in self.objects:
            raise ApiError(409, "AlreadyExists", f"{meta['name']} exists")
        self._count("create", kind)
        return self.put(kind, obj)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        self._maybe_fail("delete", kind)
        found = self.objects.get((kind, namespace, name))
        if found and found["metadata"]["uid"] == uid:
            self._count("delete", kind)
            if kind == POD and self.graceful:
                found["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
            else:
                del self.objects[kind, namespace, name]

    async def replace_status(self, obj: Json) -> Json:
        self._maybe_fail("status", SANDBOX)
        meta = obj["metadata"]
        stored = self.objects.get((SANDBOX, meta["namespace"], meta["name"]))
        if stored is None:
            raise ApiError(404, "NotFound", "gone")
        if stored["metadata"]["resourceVersion"] != meta["resourceVersion"]:
            raise ApiError(409, "Conflict", "changed in between")
        self._count("status", SANDBOX)
        return self.put(SANDBOX, {**stored, "status": copy.deepcopy(obj["status"])})

    async def create_event(self, event: Json) -> None:
        self._maybe_fail("event", SANDBOX)
        if all(e["metadata"]["name"] != event["metadata"]["name"] for e in self.events):
            self.writes["event"] += 1
            self.events.append(event)

    def _count(self, verb: str, kind: Kind) -> None:
        self.writes[verb] += 1
        self.log.append(f"{verb} {kind.kind}")

    def _maybe_fail(self, verb: str, kind: Kind) -> None:
        if error := self.fault(verb, kind):
            raise error
