"""A TLS server for one test: `python tls_endpoint.py CERTIFICATE KEY` listens on 127.0.0.1:443.

It returns once it listens and serves in the background until its pid namespace ends. Every GET is
answered with an empty JSON object: enough to see whether a client accepts the certificate.
"""

import os
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: the output belongs to the client under test."""


if __name__ == "__main__":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server = ThreadingHTTPServer(("127.0.0.1", 443), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        server.serve_forever()
