"""A stand-in for the package index: the two hosts of the default allowlist, over HTTPS.

The first host answers `/simple/` (PEP 503 HTML and PEP 691 JSON), the second one serves the files,
as the real one does. It serves a directory of wheels and logs every request; it never fetches.
`egress.daemon` runs it.
"""

import hashlib
import html
import json
import re
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from egress import ca
from ringfence.allowlist import default_hosts

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
_SUFFIXES = (".whl", ".tar.gz")


def normalized(project: str) -> str:
    """Return a project's name as PEP 503 spells it."""
    return re.sub(r"[-_.]+", "-", project).lower()


def _project(file: Path) -> str:
    return normalized(
        file.name.split("-")[0] if file.suffix == ".whl" else file.name.rpartition("-")[0]
    )


@lru_cache(maxsize=4096)
def _sha256(file: Path, _changed: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _distributions(directory: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield (project, file, sha256) of everything that can be installed."""
    for file in sorted(directory.iterdir()):
        if file.name.endswith(_SUFFIXES):
            yield _project(file), file, _sha256(file, file.stat().st_mtime_ns)


def _links(directory: Path, project: str) -> list[dict[str, Any]]:
    _, files_host = default_hosts()
    return [
        {
            "filename": file.name,
            "url": f"https://{files_host}/packages/{digest[:2]}/{quote(file.name)}",
            "hashes": {"sha256": digest},
        }
        for name, file, digest in _distributions(directory)
        if name == project
    ]


def _as_html(links: Sequence[Mapping[str, Any]]) -> bytes:
    anchors = (
        f'<a href="{html.escape(link["url"])}#sha256={link["hashes"]["sha256"]}">'
        f"{html.escape(link['filename'])}</a><br>"
        for link in links
    )
    return "<!DOCTYPE html><html><body>\n{}\n</body></html>\n".format("\n".join(anchors)).encode()


def _as_json(project: str, links: Sequence[Mapping[str, Any]]) -> bytes:
    page = {"meta": {"api-version": "1.0"}, "name": project, "files": links}
    return json.dumps(page).encode()


class Index(ThreadingHTTPServer):
    """The HTTPS server of both hosts."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], wheels: Path, log: Path, certs: Path) -> None:
        certificate, key = ca.issue(default_hosts(), certs)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._lock = threading.Lock()
        self._log = log
        self.wheels = wheels
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without the reverse look-up of HTTPServer: no DNS answers in the namespace."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Make the handshake in the connection's own thread: a silent client blocks no other."""
        request.settimeout(30)
        with self._context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (inherited)
        """Log a broken connection as a line instead of a traceback."""
        self.record({"client": client_address[0], "error": repr(sys.exc_info()[1])})

    def record(self, entry: Mapping[str, Any]) -> None:
        """Append one line to the request log."""
        with self._lock, self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"time": time.time(), **entry}) + "\n")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Index

    def do_GET(self) -> None:
        index_host, files_host = default_hosts()
        host = (self.headers["Host"] or "").partition(":")[0]
        path = unquote(urlsplit(self.path).path)
        if host == index_host and (page := re.fullmatch(r"/simple/([^/]+)/?", path)):
            self._simple(page[1], path)
        elif host == files_host and (page := re.fullmatch(r"/packages/../([^/]+)", path)):
            self._file(page[1])
        else:
            self._answer(404, "text/plain", b"not here\n")

    def _simple(self, project: str, path: str) -> None:
        name = normalized(project)
        if path != f"/simple/{name}/":
            self._answer(301, "text/plain", b"", Location=f"/simple/{name}/")
        elif not (links := _links(self.server.wheels, name)):
            self._answer(404, "text/plain", b"no such project\n")
        elif JSON_TYPE in (self.headers["Accept"] or ""):
            self._answer(200, JSON_TYPE, _as_json(name, links))
        else:
            self._answer(200, "text/html", _as_html(links))

    def _file(self, name: str) -> None:
        found = [file for _, file, _ in _distributions(self.server.wheels) if file.name == name]
        if found:
            self._answer(200, "application/octet-stream", found[0].read_bytes())
        else:
            self._answer(404, "text/plain", b"no such file\n")

    def _answer(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        host = self.headers["Host"]
        self.server.record({"host": host, "path": self.path, "status": status, "bytes": len(body)})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (inherited name)
        """Write nothing to standard error: `record` is the log."""
