"""An API server in a thread that answers as a test tells it to, over TLS, and notes what came."""

import json
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from api_access import ServiceAccountFiles
from ringfence.node.api import Access

Json = dict[str, Any]


class Request(NamedTuple):
    """One request."""

    method: str
    path: str
    token: str
    kind: str
    body: Json | None


Answer = tuple[int, Json | str] | Iterable[Json | str]
"""Status and body, or the events of a watch; a string is sent as it is."""


class ScriptedServer:
    """Serves on a port of its own once entered."""

    def __init__(self, files: ServiceAccountFiles, answer: Callable[[Request], Answer]) -> None:
        self.requests: list[Request] = []
        self.answer = answer
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = files.tls().wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self.access = Access("127.0.0.1", self._server.server_port, files.token.parent)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                token = self.headers["Authorization"].removeprefix("Bearer ")
                kind = self.headers.get("Content-Type", "")
                request = Request(self.command, self.path, token, kind, body)
                outer.requests.append(request)
                answer = outer.answer(request)
                if isinstance(answer, tuple):
                    self._whole(*answer)
                else:
                    self._stream(answer)

            do_PATCH = do_GET  # noqa: N815 - named by the base class

            def _whole(self, code: int, body: Json | str) -> None:
                content = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def _stream(self, events: Iterable[Json | str]) -> None:
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for event in events:
                    text = event if isinstance(event, str) else json.dumps(event) + "\n"
                    self.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode())
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_: object) -> None: ...

        return Handler
