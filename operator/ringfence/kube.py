"""Talks to the API server: raw JSON over kubernetes.aio. Beside kube_exec.py nobody imports that.

It holds no opinion on what is written or when to try again: each call is made once, and what goes
wrong surfaces as an ApiError, so that the work queue is the one place that backs off.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from ringfence import __version__, names
from ringfence.api import Json
from ringfence.kinds import EVENT, SANDBOX, ApiError, Kind, collection_path, kind_of, object_path

CALL_TIMEOUT_SECONDS: Final = 10.0
_CHUNK: Final = 500
_SPARE_CONNECTIONS: Final = 4
_TIMEOUT: Final = aiohttp.ClientTimeout(total=CALL_TIMEOUT_SECONDS)

_NOT_FOUND: Final = 404
_CONFLICT: Final = 409

OnCall = Callable[[str, str, int], None]
"""Told about each call: verb, kind, and the HTTP status (0: no answer)."""


class Kube:
    """The API server as reconcile needs it; see kinds.Api for what each method promises."""

    def __init__(self, client: ApiClient, on_call: OnCall) -> None:
        self._client = client
        self._on_call = on_call

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The object, or None if there is none.

        The API server says NotFound of an object. A plain 404 means that the kind itself is
        unknown; taking that for a deleted object would be wrong.
        """
        try:
            return await self._call("get", kind, object_path(kind, namespace, name))
        except ApiError as error:
            if error.status == _NOT_FOUND and error.reason == "NotFound":
                return None
            raise

    async def list(self, kind: Kind, *, labels: Mapping[str, str] | None = None) -> list[Json]:
        """All objects of a kind, in all namespaces, fetched in chunks."""
        query: dict[str, str] = {"limit": str(_CHUNK)}
        if labels:
            query["labelSelector"] = ",".join(f"{k}={v}" for k, v in sorted(labels.items()))
        found: list[Json] = []
        while True:
            page = await self._call("list", kind, collection_path(kind), query=query)
            found += [_with_kind(kind, item) for item in page["items"]]
            query["continue"] = page["metadata"].get("continue") or ""
            if not query["continue"]:
                return found

    async def apply(self, obj: Json) -> Json:
        """Creates or corrects the object by server-side apply; what it is afterwards.

        Strict: an API server too old to know a field must refuse the object, for dropping the
        field could drop a layer of defence without a word.
        """
        kind, meta = kind_of(obj), obj["metadata"]
        path = object_path(kind, meta.get("namespace", ""), meta["name"])
        query = {
            "fieldManager": names.FIELD_MANAGER,
            "force": "true",
            "fieldValidation": "Strict",
        }
        return await self._call("apply", kind, path, query=query, body=obj)

    async def create(self, obj: Json) -> Json:
        """Creates the object; one of the same name is somebody else's and is an error."""
        kind = kind_of(obj)
        path = collection_path(kind, obj["metadata"].get("namespace", ""))
        return await self._call("create", kind, path, body=obj)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Deletes the object unless it is gone or another one has taken its name."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        try:
            await self._call("delete", kind, object_path(kind, namespace, name), body=options)
        except ApiError as error:
            if error.status not in (_NOT_FOUND, _CONFLICT):
                raise

    async def replace_status(self, obj: Json) -> Json:
        """Replaces a Sandbox's status if nobody changed it since `obj` was read."""
        meta = obj["metadata"]
        path = object_path(SANDBOX, meta["namespace"], meta["name"]) + "/status"
        query = {"fieldManager": names.FIELD_MANAGER}
        return await self._call("update", SANDBOX, path, query=query, body=obj)

    async def create_event(self, event: Json) -> None:
        """Writes an Event; one that exists already is left as it is."""
        path = collection_path(EVENT, event["metadata"]["namespace"])
        try:
            await self._call("create", EVENT, path, body=event)
        except ApiError as error:
            if error.status != _CONFLICT:
                raise

    async def _call(
        self,
        verb: str,
        kind: Kind,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
    ) -> Json:
        status = 0
        try:
            status, headers, data = await self._exchange(verb, path, query or {}, body)
        except TimeoutError as error:
            message = f"{verb} {path}: no answer within {CALL_TIMEOUT_SECONDS:.0f} s"
            raise ApiError(0, "Timeout", message) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ApiError(0, "Unreachable", f"{verb} {path}: {error}") from error
        finally:
            self._on_call(verb, kind.kind, status)
        if status >= 300:  # noqa: PLR2004 - every status that is no success
            call = f"{verb} {path}"
            raise _api_error(call, status, headers, data)
        return _json(data)

    async def _exchange(
        self, verb: str, path: str, query: Mapping[str, str], body: Json | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One HTTP exchange."""
        headers = await identification(self._client)
        headers["Accept"] = "application/json"
        headers["Content-Type"] = _CONTENT_TYPES.get(verb, "application/json")
        host = self._client.configuration.host
        url = f"{host}{path}" + (f"?{urlencode(query)}" if query else "")
        response = await self._client.rest_client.request(  # type: ignore[no-untyped-call]
            _METHODS[verb], url, headers=headers, body=body, _request_timeout=_TIMEOUT
        )
        return response.status, response.headers, await response.read()


async def identification(client: ApiClient) -> dict[str, str]:
    """Headers that say who asks. Only `get_api_key_with_prefix` re-reads a rotated token."""
    headers = {"User-Agent": client.user_agent}
    token = await client.configuration.get_api_key_with_prefix("BearerToken")
    return headers | ({"Authorization": token} if token else {})


_METHODS: Final = {
    "get": "GET",
    "list": "GET",
    "apply": "PATCH",
    "update": "PUT",
    "create": "POST",
    "delete": "DELETE",
}
_CONTENT_TYPES: Final = {"apply": "application/apply-patch+yaml"}


@asynccontextmanager
async def connect(workers: int, on_call: OnCall) -> AsyncIterator[Kube]:
    """A client for as many calls at a time as there are workers, and a few more."""
    settings = await _configuration()
    settings.connection_pool_maxsize = workers + _SPARE_CONNECTIONS
    settings.client_session_kwargs = {"trust_env": False}  # no proxy between us and the API server
    async with ApiClient(settings) as client:
        client.user_agent = f"{names.FIELD_MANAGER}/{__version__}"
        yield Kube(client, on_call)


async def _configuration() -> Configuration:
    """The Pod's ServiceAccount, or else the kubeconfig, for runs on a developer's machine.

    The in-cluster loader installs a hook that reads the token file again every minute; the tokens
    that kubelet writes there are rotated every hour.
    """
    settings = Configuration()
    try:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            client_configuration=settings, persist_config=False
        )
    return settings


def _api_error(call: str, status: int, headers: Mapping[str, str], data: bytes) -> ApiError:
    """The error in an answer: a Status object, or text of something before the API server.

    The message of a Status stands as it is, for it goes into conditions that people read.
    """
    body = _json_or_text(data)
    details = body.get("details") or {}
    return ApiError(
        status,
        body.get("reason") or f"HTTP{status}",
        body["message"]
        if body.get("kind") == "Status"
        else f"{call}: {body.get('message') or 'no message'}",
        causes=details.get("causes"),
        retry_after=_seconds(headers.get("Retry-After") or details.get("retryAfterSeconds")),
    )


def _seconds(value: str | int | None) -> float | None:
    """Seconds of a Retry-After; the form with a date is not used by API servers."""
    text = str(value)
    return float(text) if text.isdecimal() else None


def _json(data: bytes) -> Json:
    parsed: Json = json.loads(data)
    return parsed


def _json_or_text(data: bytes) -> Json:
    try:
        parsed: Any = json.loads(data)
    except ValueError:
        parsed = None
    if isinstance(parsed, dict):
        return parsed
    return {"message": data.decode(errors="replace").strip()[:1024]}


def _with_kind(kind: Kind, item: Json) -> Json:
    """Items of a list leave out what the list itself says."""
    return {"apiVersion": kind.api_version, "kind": kind.kind, **item}


class Login(NamedTuple):
    """How to reach the API server, for the watcher, which brings its own HTTP client."""

    server: str
    ca_path: str | None
    token: str | None
    certificate_path: str | None
    private_key_path: str | None
    insecure: bool


async def login() -> Login:
    """The present credentials; a rotated token is read from its file."""
    settings = await _configuration()
    token = settings.api_key.get("BearerToken")
    return Login(
        server=settings.host,
        ca_path=settings.ssl_ca_cert,
        token=token.partition(" ")[2].strip() if token else None,
        certificate_path=settings.cert_file,
        private_key_path=settings.key_file,
        insecure=not settings.verify_ssl,
    )
