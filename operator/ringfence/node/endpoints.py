"""The node agent's HTTP endpoints, /healthz, /readyz and /metrics, in threads of their own. I/O.

They serve words and numbers only; nothing is accepted.
"""

import socket
import socketserver
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[HTTPStatus, bytes]
Routes = Mapping[str, Callable[[], Answer]]


def verdict(ailment: Callable[[], str | None]) -> Callable[[], Answer]:
    """200 while there is no ailment; else 503 and its name."""

    def answer() -> Answer:
        reason = ailment()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
        return status, f"{reason or 'ok'}\n".encode()

    return answer


def server(port: int, routes: Routes) -> ThreadingHTTPServer:
    """A server on all addresses; to be run with serve_forever."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 5
        """Seconds for a request to come in."""

        def do_GET(self) -> None:
            found = routes.get(self.path)
            status, body = found() if found else (HTTPStatus.NOT_FOUND, b"")
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Writes no line for each request."""

    return _Server(("", port), Handler)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not HTTPServer's own: it looks up the host's name, which hangs without a resolver.
        socketserver.TCPServer.server_bind(self)
