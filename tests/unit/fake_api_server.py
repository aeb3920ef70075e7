"""A small API server that counts: enough of list, watch, apply, status and delete for one client.

It keeps no schema, no defaults and no field ownership: what the real one does with those is tested
on a real one. Every request is counted by method, plural and whether it is a watch.
"""

import asyncio
import itertools
import json
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple, Self

from aiohttp import web

from ringfence.api import Json
from ringfence.kinds import ALL, Kind

Answer = web.StreamResponse
Fault = Callable[[web.Request], web.Response | None]
_CRD = Kind(
    "apiextensions.k8s.io/v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
)
_NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
SERVED = (*ALL, _CRD, _NAMESPACE)


class Target(NamedTuple):
    """What a path addresses."""

    plural: str
    namespace: str
    name: str
    subresource: str


class _Watcher(NamedTuple):
    plural: str
    labels: dict[str, str]
    events: asyncio.Queue[Json | None]


def target(path: str) -> Target:
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    return Target(parts[0], namespace, *[*parts[1:3], "", ""][:2])


def status(code: int, reason: str, message: str = "", **details: object) -> web.Response:
    body = {"kind": "Status", "code": code, "reason": reason, "message": message}
    return web.json_response({**body, "details": details}, status=code)


def _selected(obj: Json, labels: dict[str, str]) -> bool:
    carried = obj["metadata"].get("labels", {})
    return all(carried.get(name) == value for name, value in labels.items())


class FakeApiServer:
    """Serves on a port of its own once entered."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.url = ""
        self._tls = tls
        self.objects: dict[tuple[str, str, str], Json] = {}
        self.counts: Counter[str] = Counter()
        self.requests: list[web.Request] = []
        self.fault: Fault = lambda _: None
        self.hold: Callable[[web.Request], Awaitable[object]] | None = None
        self._versions = itertools.count(1)
        self._watchers: list[_Watcher] = []
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self.break_watches()
        await self._runner.cleanup()

    @property
    def writes(self) -> int:
        reading = ("GET", "list", "watch")
        return sum(n for what, n in self.counts.items() if not what.startswith(reading))

    def watching(self, plural: str) -> bool:
        return any(w.plural == plural for w in self._watchers)

    def break_watches(self, code: int | None = None) -> None:
        """Ends all watches, as a restart does, or with an ERROR event."""
        for watcher in self._watchers:
            if code:
                watcher.events.put_nowait({"type": "ERROR", "object": {"code": code}})
            watcher.events.put_nowait(None)
        self._watchers.clear()

    def put(self, plural: str, obj: Json) -> Json:
        """Creates or replaces an object and tells the watches."""
        meta = obj["metadata"]
        key = (plural, meta.get("namespace", ""), meta["name"])
        kind = "MODIFIED" if key in self.objects else "ADDED"
        uid = self.objects.get(key, obj)["metadata"].get("uid") or f"uid-{next(self._versions)}"
        meta = {**meta, "uid": uid, "resourceVersion": str(next(self._versions))}
        self.objects[key] = {**obj, "metadata": meta}
        self._tell(plural, kind, self.objects[key])
        return self.objects[key]

    def drop(self, plural: str, namespace: str, name: str) -> Json:
        """Deletes an object and tells the watches, if there are any."""
        gone = self.objects.pop((plural, namespace, name))
        gone["metadata"]["resourceVersion"] = str(next(self._versions))
        self._tell(plural, "DELETED", gone)
        return gone

    def _tell(self, plural: str, kind: str, obj: Json) -> None:
        for watcher in self._watchers:
            if watcher.plural == plural and _selected(obj, watcher.labels):
                watcher.events.put_nowait({"type": kind, "object": obj})

    async def _serve(self, request: web.Request) -> Answer:
        self.requests.append(request)
        if self.hold:
            await self.hold(request)
        if faulty := self.fault(request):
            return faulty
        if found := _discovery(request.path.rstrip("/")):
            return web.json_response(found)
        at = target(request.path)
        verb = request.method
        if verb == "GET" and not at.name:
            verb = "watch" if request.query.get("watch") else "list"
        self.counts[f"{verb} {at.plural}{'/' if at.subresource else ''}{at.subresource}"] += 1
        serve = {
            "GET": self._get,
            "list": self._list,
            "watch": self._watch,
            "PATCH": self._apply,
            "PUT": self._replace,
            "POST": self._create,
            "DELETE": self._delete,
        }[verb]
        return await serve(request, at)

    async def _get(self, _: web.Request, at: Target) -> Answer:
        obj = self.objects.get((at.plural, at.namespace, at.name))
        return web.json_response(obj) if obj else status(404, "NotFound", at.name)

    async def _list(self, request: web.Request, at: Target) -> Answer:
        labels = _labels(request)
        found = [o for k, o in self.objects.items() if k[0] == at.plural and _selected(o, labels)]
        start = int(request.query.get("continue") or 0)
        end = start + int(request.query.get("limit") or len(found) or 1)
        meta = {"resourceVersion": str(next(self._versions))}
        if end < len(found):
            meta["continue"] = str(end)
        return web.json_response({"kind": "List", "metadata": meta, "items": found[start:end]})

    async def _watch(self, request: web.Request, at: Target) -> Answer:
        watcher = _Watcher(at.plural, _labels(request), asyncio.Queue())
        self._watchers.append(watcher)
        stream = web.StreamResponse()
        await stream.prepare(request)
        with suppress(ConnectionError):
            while event := await watcher.events.get():
                await stream.write(json.dumps(event).encode() + b"\n")
        return stream

    async def _apply(self, request: web.Request, at: Target) -> Answer:
        obj = await request.json()
        before = self.objects.get((at.plural, at.namespace, at.name), {})
        merged = {**before, **obj, "metadata": {**before.get("metadata", {}), **obj["metadata"]}}
        return web.json_response(before if merged == before else self.put(at.plural, merged))

    async def _replace(self, request: web.Request, at: Target) -> Answer:
        obj = await request.json()
        before = self.objects[at.plural, at.namespace, at.name]
        if obj["metadata"].get("resourceVersion") != before["metadata"]["resourceVersion"]:
            return status(409, "Conflict", "the object has been modified")
        return web.json_response(self.put(at.plural, {**before, "status": obj["status"]}))

    async def _create(self, request: web.Request, at: Target) -> Answer:
        obj = await request.json()
        if (at.plural, at.namespace, obj["metadata"]["name"]) in self.objects:
            return status(409, "AlreadyExists")
        return web.json_response(self.put(at.plural, obj), status=201)

    async def _delete(self, request: web.Request, at: Target) -> Answer:
        obj = self.objects.get((at.plural, at.namespace, at.name))
        if obj is None:
            return status(404, "NotFound")
        if (await request.json())["preconditions"]["uid"] != obj["metadata"]["uid"]:
            return status(409, "Conflict", "the UID in the precondition differs")
        return web.json_response(self.drop(at.plural, at.namespace, at.name))


def _labels(request: web.Request) -> dict[str, str]:
    selector = request.query.get("labelSelector", "")
    return dict(pair.split("=", 1) for pair in selector.split(",") if pair)


def _discovery(path: str) -> Json | None:
    """/api, /apis, and the kinds of each group and version."""
    versions = {kind.api_version for kind in SERVED}
    if path == "/api":
        return {"versions": ["v1"]}
    if path == "/apis":
        return {"groups": [_group(v) for v in versions if "/" in v]}
    version = path.removeprefix("/apis/").removeprefix("/api/")
    if version not in versions:
        return None
    return {"resources": [_resource(k) for k in SERVED if k.api_version == version]}


def _group(version: str) -> Json:
    group, _, number = version.partition("/")
    entry = {"groupVersion": version, "version": number}
    return {"name": group, "versions": [entry], "preferredVersion": entry}


def _resource(kind: Kind) -> Json:
    return {
        "name": kind.plural,
        "kind": kind.kind,
        "singularName": kind.kind.lower(),
        "namespaced": kind.namespaced,
        "verbs": ["list", "watch", "patch"],
    }
