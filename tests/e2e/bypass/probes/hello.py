"""TLS ClientHellos: a real one, and what can be made of it.

Runs inside the Sandbox. Lengths are put right after each change, so that only the trick is wrong.
"""

import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_SERVER_NAME, _ECH, _PRIVATE = 0, 0xFE0D, 0xFF77
_RECORD_HEAD, _HANDSHAKE_HEAD = 5, 4

Extension = tuple[int, bytes]


def client_hello(server_name: str | None) -> bytes:
    """The first bytes that a real TLS client sends: one record."""
    context = ssl.create_default_context()
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def _sized(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width, "big") + data


def _split(hello: bytes) -> tuple[bytes, list[Extension]]:
    """What comes before the extensions (without any length of the whole), and the extensions."""
    body = hello[_RECORD_HEAD + _HANDSHAKE_HEAD :]
    at = 34
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at : at + 2], "big")
    at += 1 + body[at]
    head, rest, found = body[:at], body[at + 2 :], list[Extension]()
    while rest:
        kind, length = (int.from_bytes(rest[n : n + 2], "big") for n in (0, 2))
        found.append((kind, rest[4 : 4 + length]))
        rest = rest[4 + length :]
    return head, found


def _joined(head: bytes, extensions: list[Extension]) -> bytes:
    packed = b"".join(kind.to_bytes(2, "big") + _sized(data, 2) for kind, data in extensions)
    handshake = b"\x01" + _sized(head + _sized(packed, 2), 3)
    return record(handshake)


def record(handshake: bytes) -> bytes:
    """One TLS record with handshake data."""
    return b"\x16\x03\x01" + _sized(handshake, 2)


def names(*server_names: str | bytes, kind: int = 0) -> bytes:
    """The body of a server_name extension."""
    raw = [n.encode() if isinstance(n, str) else n for n in server_names]
    return _sized(b"".join(bytes([kind]) + _sized(one, 2) for one in raw), 2)


def with_names(*bodies: bytes) -> bytes:
    """A hello with these server_name extensions, in front of all others."""
    head, extensions = _split(client_hello(None))
    return _joined(head, [*((_SERVER_NAME, body) for body in bodies), *extensions])


def with_ech(outer: str) -> bytes:
    """A hello that carries an encrypted one, as far as anybody but its addressee can tell."""
    head, extensions = _split(client_hello(outer))
    sealed = b"\x00\x00\x01\x00\x01\x07" + _sized(os.urandom(32), 2) + _sized(os.urandom(208), 2)
    return _joined(head, [*extensions, (_ECH, sealed)])


def in_records(hello: bytes, size: int) -> bytes:
    """The same handshake message in several records."""
    body = hello[_RECORD_HEAD:]
    return b"".join(record(body[at : at + size]) for at in range(0, len(body), size))


def padded(server_name: str, size: int) -> bytes:
    """A hello whose server name comes after a lot of padding."""
    head, extensions = _split(client_hello(server_name))
    rest = [item for item in extensions if item[0] != _SERVER_NAME]
    return _joined(head, [(_PRIVATE, bytes(size)), *rest, (_SERVER_NAME, names(server_name))])


TRICKS: Final[dict[str, Callable[[str, str], bytes]]] = {
    "plain": lambda host, _: client_hello(host),
    "other name": lambda _, other: client_hello(other),
    "no name": lambda *_: client_hello(None),
    "empty name": lambda *_: with_names(names("")),
    "upper case": lambda host, _: with_names(names(host.upper())),
    "trailing dot": lambda host, _: with_names(names(f"{host}.")),
    "NUL before other": lambda host, other: with_names(names(f"{other}\0.{host}")),
    "NUL after host": lambda host, other: with_names(names(f"{host}\0.{other}")),
    "two names, host first": lambda host, other: with_names(names(host, other)),
    "two names, other first": lambda host, other: with_names(names(other, host)),
    "two extensions, host first": lambda host, other: with_names(names(host), names(other)),
    "two extensions, other first": lambda host, other: with_names(names(other), names(host)),
    "name of unknown type": lambda host, _: with_names(names(host, kind=1)),
    "address": lambda *_: with_names(names("203.0.113.30")),
    "several records": lambda host, _: in_records(client_hello(host), 40),
    "several records, other name": lambda _, other: in_records(client_hello(other), 40),
    "ECH, listed outside": lambda host, _: with_ech(host),
    "ECH, other outside": lambda _, other: with_ech(other),
    "two hellos in a record": lambda host, other: record(
        client_hello(host)[_RECORD_HEAD:] + client_hello(other)[_RECORD_HEAD:]
    ),
    "other hello first": lambda host, other: client_hello(other) + client_hello(host),
    "late name": lambda host, _: padded(host, 9000),
    "late other name": lambda _, other: padded(other, 9000),
    "too late a name": lambda host, _: padded(host, 17000),
    "alert before other": lambda _, other: b"\x15\x03\x01\x00\x02\x01\x00" + client_hello(other),
    "empty record before other": lambda _, other: record(b"") + client_hello(other),
    "HTTP": lambda host, _: f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(),
    "SSH": lambda *_: b"SSH-2.0-OpenSSH_9.9\r\n",
    "PROXY protocol": lambda host, _: (
        b"PROXY TCP4 127.0.0.1 203.0.113.30 1 443\r\n" + client_hello(host)
    ),
    "HTTP/2": lambda *_: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "DTLS": lambda host, _: b"\x16\xfe\xff" + client_hello(host)[3:],
    "SSLv2 hello": lambda *_: b"\x80\x2e\x01\x00\x02" + bytes(43),
    "zeros": lambda *_: bytes(64),
}
