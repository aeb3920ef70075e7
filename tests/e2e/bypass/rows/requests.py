"""Requests to the proxy other than one honest CONNECT."""

from __future__ import annotations

from bypass import places
from bypass.model import Layer, Place, Proof, Row

_NAME, _OTHER = places.ALLOWED, places.UNLISTED
_PUBLIC, _DIALS = Place(places.PUBLIC, 80), Place(places.OTHER, 443)


def _connect(target: str, *headers: str, version: str = "1.1") -> str:
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"CONNECT {target} HTTP/{version}\r\n{lines}\r\n"


_PLAIN = {
    "get": f"GET http://{_NAME}/ HTTP/1.1\r\nHost: {_NAME}\r\n\r\n",
    "get-https": f"GET https://{_NAME}/ HTTP/1.1\r\nHost: {_NAME}\r\n\r\n",
    "get-relative": f"GET / HTTP/1.1\r\nHost: {_NAME}:443\r\n\r\n",
    "get-http-1.0": f"GET http://{_NAME}/ HTTP/1.0\r\n\r\n",
    "get-http-0.9": f"GET http://{_NAME}/\r\n\r\n",
    "post": f"POST http://{_NAME}/ HTTP/1.1\r\nHost: {_NAME}\r\nContent-Length: 1\r\n\r\nx",
    "upgrade": f"GET / HTTP/1.1\r\nHost: {_NAME}:443\r\nConnection: Upgrade\r\nUpgrade: CONNECT"
    "\r\n\r\n",
    "websocket": f"GET http://{_NAME}/ HTTP/1.1\r\nHost: {_NAME}\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    "http-2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "socks-4": "\4\1\1\xbb\xcb\0\x71\x1e\0",
    "socks-5": "\5\1\0\5\1\0\1\xcb\0\x71\x1e\1\xbb",
}
_LED_ASTRAY = {
    "host-differs": _connect(f"{_OTHER}:443", f"Host: {_NAME}:443"),
    "host-twice": _connect(f"{_OTHER}:443", f"Host: {_OTHER}:443", f"Host: {_NAME}:443"),
    "host-twice-reversed": _connect(f"{_OTHER}:443", f"Host: {_NAME}:443", f"Host: {_OTHER}:443"),
    "host-folded": _connect(f"{_OTHER}:443", "Host:", f" {_NAME}:443"),
    "host-missing": _connect(f"{_OTHER}:443"),
    "http-1.0": _connect(f"{_OTHER}:443", version="1.0"),
    "http-0.9": f"CONNECT {_OTHER}:443\r\n\r\n",
    "lengths": _connect(
        f"{_OTHER}:443", f"Host: {_OTHER}:443", "Content-Length: 5", "Transfer-Encoding: chunked"
    ),
    "lengths-two": _connect(
        f"{_OTHER}:443", f"Host: {_OTHER}:443", "Content-Length: 5", "Content-Length: 6"
    ),
    "line-break": _connect(
        f"{_OTHER}:443 HTTP/1.1\r\nHost: {_NAME}:443\r\n\r\nCONNECT {_NAME}:443",
        f"Host: {_NAME}:443",
    ),
    "bare-line-feed": f"CONNECT {_OTHER}:443 HTTP/1.1\nHost: {_NAME}:443\n\n",
    "space-before-colon": _connect(f"{_OTHER}:443", f"Host : {_NAME}:443"),
    "method-case": f"connect {_OTHER}:443 HTTP/1.1\r\nHost: {_OTHER}:443\r\n\r\n",
    "envoy-headers": _connect(
        f"{_OTHER}:443",
        f"Host: {_OTHER}:443",
        f"x-envoy-original-dst-host: {places.OTHER}:443",
        f"x-envoy-original-path: {_NAME}:443",
        f":authority: {_NAME}:443",
        f"x-forwarded-host: {_NAME}:443",
    ),
    "protocol": _connect(f"{_OTHER}:443", f"Host: {_OTHER}:443", ":protocol: connect-udp"),
    "masque": f"GET /.well-known/masque/udp/{places.OTHER}/443/ HTTP/1.1\r\nHost: {_NAME}:443\r\n"
    "Connection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n",
}
_TOO_MUCH = {
    "long-head": _connect(f"{_NAME}:443", f"Host: {_NAME}:443", f"X: {'x' * 9000}"),
    "many-headers": _connect(
        f"{_NAME}:443", f"Host: {_NAME}:443", *(f"X{n}: x" for n in range(40))
    ),
    "long-name": _connect(f"{'a.' * 2000}wild.{places.ZONE}:443"),
}


def _row(name: str, text: str, dials: Place, server_name: str = _OTHER) -> Row:
    args = {"text": text, "server_name": server_name}
    what = f"request: {name.replace('-', ' ')}"
    row = f"request-{name}"
    return Row(row, what, "tunnels.request", args, (Layer.PROXY,), Proof.DIAL, dials)


ROWS = (
    *(_row(name, text, _PUBLIC) for name, text in _PLAIN.items()),
    *(_row(name, text, _DIALS) for name, text in _LED_ASTRAY.items()),
    *(_row(name, text, Place(places.PUBLIC, 443), _NAME) for name, text in _TOO_MUCH.items()),
    Row(
        "request-pipelined",
        "a second CONNECT in the same packet",
        "tunnels.pipelined",
        {"host": _NAME, "other": _OTHER},
        (Layer.PROXY,),
        Proof.DIAL,
        _DIALS,
    ),
)
