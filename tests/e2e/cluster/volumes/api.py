"""The few calls of the provisioner to the API server, with its own certificate."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from cluster import config
from cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.config import Paths

Json = dict[str, Any]

USER: Final = "ringfence-volumes"
CLAIMS: Final = "/api/v1/persistentvolumeclaims"
VOLUMES: Final = "/api/v1/persistentvolumes"
_TIMEOUT_SECONDS: Final = 30.0
_WATCH_SECONDS: Final = 600


class VolumesApi:
    """Watches claims and volumes; creates and deletes volumes; calls a claim bound."""

    def __init__(self, paths: Paths) -> None:
        self._tls = ssl.create_default_context(cafile=str(paths.pki / "ca.crt"))
        self._tls.load_cert_chain(paths.pki / f"{USER}.crt", paths.pki / f"{USER}.key")

    def watch(self, path: str) -> Iterator[Json]:
        """Every object there is, and then each that comes or changes, for some minutes.

        Raises:
            ClusterError: The API server refuses.
        """
        query = f"?watch=true&timeoutSeconds={_WATCH_SECONDS}"
        with contextlib.closing(self._connection(timeout=None)) as connection:
            connection.request("GET", f"{path}{query}")
            response = connection.getresponse()
            if response.status != HTTPStatus.OK:  # as an API server says while it starts
                message = f"GET {path}: {response.status} {response.read().decode()}"
                raise ClusterError(message)
            for line in response:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                if event["type"] != "DELETED":
                    yield event["object"]

    def call_bound(self, claim: Json, status: Json) -> None:
        """Set the status of a claim, unless it is gone."""
        where = f"namespaces/{claim['metadata']['namespace']}/persistentvolumeclaims"
        path = f"/api/v1/{where}/{claim['metadata']['name']}/status"
        body = {"metadata": {"uid": claim["metadata"]["uid"]}, "status": status}
        self._send("PATCH", path, body, HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)

    def create_volume(self, body: Json) -> None:
        """Create a volume, unless it is there already."""
        self._send("POST", VOLUMES, body, HTTPStatus.CREATED, HTTPStatus.CONFLICT)

    def delete_volume(self, name: str) -> None:
        """Delete a volume, unless it is gone already."""
        self._send("DELETE", f"{VOLUMES}/{name}", None, HTTPStatus.OK, HTTPStatus.NOT_FOUND)

    def _send(self, verb: str, path: str, body: Json | None, *good: HTTPStatus) -> None:
        with contextlib.closing(self._connection(_TIMEOUT_SECONDS)) as connection:
            kind = "merge-patch+json" if verb == "PATCH" else "json"
            headers = {"Content-Type": f"application/{kind}"}
            connection.request(verb, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            text = response.read().decode()
        if response.status not in good:
            message = f"{verb} {path}: {response.status} {text}"
            raise ClusterError(message)

    def _connection(self, timeout: float | None) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            config.CONTROL_ADDRESS, config.API_PORT, timeout=timeout, context=self._tls
        )
