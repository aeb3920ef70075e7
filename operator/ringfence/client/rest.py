"""Objects and logs of the API server, one blocking call at a time. I/O."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode

from ringfence.client.access import Access
from ringfence.client.websocket import refusal
from ringfence.kinds import POD, ApiError, Kind, collection_path, kind_of, object_path

Json = dict[str, Any]

_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_FIRST_ERROR: Final = 300
_CHUNK: Final = 500
_CALL_SECONDS: Final = 30.0
_PIECE: Final = 64 * 1024


class Rest:
    """Calls over one kept connection; not for more than one thread at a time."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The object, or None if there is none.

        The API server says NotFound of an object; a plain 404 means that the kind is unknown.
        """
        try:
            return self._call("GET", object_path(kind, namespace, name))
        except ApiError as error:
            if error.status == _NOT_FOUND and error.reason == "NotFound":
                return None
            raise

    def list(self, kind: Kind, namespace: str = "", labels: str = "") -> list[Json]:
        """Objects of a kind, in one namespace or in all of them."""
        query = {"limit": str(_CHUNK)} | ({"labelSelector": labels} if labels else {})
        found: list[Json] = []
        while True:
            path = f"{collection_path(kind, namespace)}?{urlencode(query)}"
            page = self._call("GET", path)
            same = {"apiVersion": kind.api_version, "kind": kind.kind}
            found += [{**same, **item} for item in page["items"]]
            query["continue"] = page["metadata"].get("continue") or ""
            if not query["continue"]:
                return found

    def create(self, obj: Json) -> Json:
        """Creates the object; fields that the API server does not know are refused."""
        path = collection_path(kind_of(obj), obj["metadata"].get("namespace", ""))
        return self._call("POST", f"{path}?fieldValidation=Strict", obj)

    def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Deletes the object unless it is gone or another one has taken its name."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        try:
            self._call("DELETE", object_path(kind, namespace, name), options)
        except ApiError as error:
            if error.status not in (_NOT_FOUND, _CONFLICT):
                raise

    @contextmanager
    def log(self, namespace: str, pod: str, query: Mapping[str, str]) -> Iterator[Iterator[bytes]]:
        """A container's log, piece by piece as it comes."""
        path = f"{object_path(POD, namespace, pod)}/log?{urlencode(query)}"
        connection = self._open(timeout=None)
        try:
            response = self._ask(connection, "GET", path, None)
            if response.status >= _FIRST_ERROR:
                raise refusal(response.status, response.read())
            yield iter(lambda: response.read1(_PIECE), b"")
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(self._access, error) from error
        finally:
            connection.close()

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        """A connection that was kept may have died meanwhile: a call that only reads asks twice."""
        kept = self._connection is not None
        try:
            status, data = self._exchange(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if not kept or method != "GET":
                raise _unreachable(self._access, error) from error
            return self._call(method, path, body)
        if status >= _FIRST_ERROR:
            raise refusal(status, data)
        parsed: Json = json.loads(data)
        return parsed

    def _exchange(self, method: str, path: str, body: Json | None) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = self._open(_CALL_SECONDS)
        response = self._ask(self._connection, method, path, body)
        data = response.read()
        if response.will_close:
            self.close()
        return response.status, data

    def _open(self, timeout: float | None) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self._access.host, self._access.port)
        connection.sock = self._access.connect()
        connection.sock.settimeout(timeout)
        return connection

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: Json | None
    ) -> http.client.HTTPResponse:
        headers = {**self._access.headers, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        text = json.dumps(body).encode() if body is not None else None
        connection.request(method, self._access.prefix + path, text, headers)
        return connection.getresponse()


def _unreachable(access: Access, error: Exception) -> ApiError:
    message = f"the API server at {access.host}:{access.port} cannot be reached: {error}"
    return ApiError(0, "Unreachable", message)
