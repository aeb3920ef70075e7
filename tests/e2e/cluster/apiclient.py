"""A few reads of the API server over HTTPS, for waiting: kubectl would cost 0.1 s each."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from typing import TYPE_CHECKING, Any

from cluster import config

if TYPE_CHECKING:
    from cluster.config import Paths

_TIMEOUT_SECONDS = 5.0


class ApiClient:
    """Reads with the administrator's certificate; a failed read is None, never an error."""

    def __init__(self, paths: Paths) -> None:
        self._tls = ssl.create_default_context(cafile=str(paths.pki / "ca.crt"))
        self._tls.load_cert_chain(paths.pki / "admin.crt", paths.pki / "admin.key")

    def ready(self) -> bool:
        """Whether the API server says that it can serve."""
        return self._get("/readyz") == b"ok"

    def get(self, path: str) -> dict[str, Any] | None:
        """One object or list, or None where it cannot be read (yet)."""
        body = self._get(path)
        return None if body is None else json.loads(body)

    def condition(self, path: str, kind: str) -> bool:
        """Whether an object's condition of this type is True."""
        found = self.get(path) or {}
        conditions = found.get("status", {}).get("conditions", [])
        return any(one["type"] == kind and one["status"] == "True" for one in conditions)

    def _get(self, path: str) -> bytes | None:
        connection = http.client.HTTPSConnection(
            config.API_HOST_ADDRESS, config.API_PORT, timeout=_TIMEOUT_SECONDS, context=self._tls
        )
        with (
            contextlib.closing(connection),
            contextlib.suppress(OSError, http.client.HTTPException),
        ):
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            return body if response.status == http.HTTPStatus.OK else None
        return None
