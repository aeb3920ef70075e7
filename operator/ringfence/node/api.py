"""The API server over http.client: get, apply, patch, list and watch. I/O.

Small on purpose: a client library costs more memory than the whole node agent. One Client serves
one thread. The token is read for each call, as the kubelet renews it.
"""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

Json = dict[str, Any]

APPLY: Final = "application/apply-patch+yaml"
STRATEGIC: Final = "application/strategic-merge-patch+json"
_TIMEOUT_SECONDS: Final = 10.0
_WATCH_SECONDS: Final = 300
_SILENCE_SECONDS: Final = 90.0
"""The API server sends a bookmark each minute; a connection that says less is dead."""
_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ApiError(Exception):
    """The API server refused; holds the HTTP status, as in a Status object."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Unreachable(Exception):  # noqa: N818 - says what is the case
    """No answer, or none that can be understood."""


@dataclass(frozen=True)
class Access:
    """How to reach the API server."""

    host: str
    port: int
    account: Path = _ACCOUNT
    """Directory with `token` and `ca.crt`, as the kubelet mounts it."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Access":
        """As the kubelet tells every container."""
        host, port = (environment[f"KUBERNETES_SERVICE_{part}"] for part in ("HOST", "PORT"))
        return cls(host, int(port))

    def connect(self, seconds: float) -> http.client.HTTPSConnection:
        """A connection that is opened with the first request; calls time out after `seconds`."""
        context = ssl.create_default_context(cafile=str(self.account / "ca.crt"))
        return http.client.HTTPSConnection(self.host, self.port, timeout=seconds, context=context)

    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        token = (self.account / "token").read_text().strip()
        return {"Authorization": f"Bearer {token}", "Accept": "application/json"}


class Client:
    """Calls over one kept connection."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._connection: http.client.HTTPSConnection | None = None

    def get(self, path: str) -> Json:
        """The object at a path.

        Raises:
            ApiError: It was refused.
            Unreachable: No answer.
        """
        return self._call("GET", path)

    def apply(self, path: str, manager: str, body: Json) -> Json:
        """Server-side apply; returns the object.

        Raises:
            ApiError: It was refused.
            Unreachable: No answer.
        """
        query = urlencode({"fieldManager": manager, "force": "true"})
        return self._call("PATCH", f"{path}?{query}", body, APPLY)

    def patch(self, path: str, manager: str, body: Json) -> Json:
        """Strategic merge patch; returns the object.

        Raises:
            ApiError: It was refused.
            Unreachable: No answer.
        """
        query = urlencode({"fieldManager": manager})
        return self._call("PATCH", f"{path}?{query}", body, STRATEGIC)

    def _call(self, method: str, path: str, body: Json | None = None, kind: str = "") -> Json:
        try:
            return self._exchange(method, path, body, kind)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            message = f"{method} {path}: {error!r}"
            raise Unreachable(message) from error

    def _exchange(self, method: str, path: str, body: Json | None, kind: str) -> Json:
        self._connection = self._connection or self._access.connect(_TIMEOUT_SECONDS)
        headers = self._access.headers() | ({"Content-Type": kind} if kind else {})
        content = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, content, headers)
        answer = self._connection.getresponse()
        return _object(answer.status, answer.read())

    def close(self) -> None:
        """Ends the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def watch(access: Access, path: str, query: Mapping[str, str]) -> Iterator[Json]:
    """The events of a watch, until the API server ends it.

    Raises:
        ApiError: It was refused; 410 if the resourceVersion is too old.
        Unreachable: The connection broke, or fell silent.
    """
    more = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(_WATCH_SECONDS)}
    connection = access.connect(_SILENCE_SECONDS)
    try:
        connection.request(
            "GET", f"{path}?{urlencode({**query, **more})}", headers=access.headers()
        )
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            _object(answer.status, answer.read())
        while line := answer.readline():
            yield _event(json.loads(line))
    except (OSError, http.client.HTTPException, ValueError) as error:
        message = f"watch {path}: {error!r}"
        raise Unreachable(message) from error
    finally:
        connection.close()


def _object(code: int, content: bytes) -> Json:
    body: Json = json.loads(content)
    if code >= http.client.BAD_REQUEST:
        raise ApiError(code, str(body.get("message", "")))
    return body


def _event(event: Json) -> Json:
    if event["type"] == "ERROR":
        raise ApiError(event["object"].get("code", 0), str(event["object"].get("message", "")))
    return event
