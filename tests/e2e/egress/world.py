"""A small internet in a namespace, with the egress proxy in front of it, for the proxy's tests.

A DNS server that lies about some names, TLS servers on a public and on a private address, and
what a client of the proxy does. It must not assert: the tests do.
"""

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from egress import ca, netns, proxy, servers
from ringfence.api import EgressRule

PUBLIC, PRIVATE = "203.0.113.10", "10.9.9.9"
LOOPBACK, METADATA = "127.0.0.1", "169.254.169.254"
ALLOWED, OTHER, EXTRA = "allowed.example.test", "other.example.test", "extra.example.test"
LYING = {
    "private.example.test": [PRIVATE],
    "loopback.example.test": [LOOPBACK],
    "metadata.example.test": [METADATA],
    "mixed.example.test": [PRIVATE, PUBLIC],
}
ZONE = {
    **{host: [PUBLIC] for host in (ALLOWED, OTHER, EXTRA)},
    **{host: [PUBLIC] for host in ("suffix.test", "a.suffix.test", "b.suffix.test")},
    "asuffix.test": [PUBLIC],
    **LYING,
}
RULES = [
    *(EgressRule(host=host) for host in (ALLOWED, "*.suffix.test", "missing.example.test", *LYING)),
    EgressRule(host=ALLOWED, ports=(8443,)),
]
MESSAGE = "is not on this Sandbox's egress allowlist (spec.egress.allow)"
REASON = "Not on this Sandbox's egress allowlist (spec.egress.allow)"
PROMPT = 2.0
RELOAD = 2.0


@dataclass
class World:
    """The proxy under test and the servers that it may or may not reach."""

    proxy: proxy.Proxy
    trust: ssl.SSLContext
    servers: list[servers.TlsServer]
    asked: list[str]

    def dialled(self) -> int:
        """Count every connection that the proxy opened so far."""
        return sum(server.accepted for server in self.servers)


@contextmanager
def small_internet(directory: Path) -> Iterator[World]:
    """Run the proxy with `RULES`, and everything it could reach, until the block ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue(list(ZONE), directory))
    addresses = [f"{address}/32" for address in (PUBLIC, PRIVATE, METADATA)]
    ends = [(address, 443) for address in (PUBLIC, PRIVATE, LOOPBACK, METADATA)]
    with ExitStack() as stack:
        name = stack.enter_context(netns.namespace(f"rf-egress-{os.getpid()}", addresses))
        asked = stack.enter_context(servers.dns(name, ZONE))
        made = [
            stack.enter_context(servers.tls(name, end, context)) for end in (*ends, (PUBLIC, 8443))
        ]
        running = stack.enter_context(proxy.running(name, directory, RULES))
        trust = ssl.create_default_context(cafile=str(ca.ca()))
        yield World(running, trust, made, asked)


def client_hello(server_name: str | None) -> bytes:
    """Return the first bytes that a real TLS client sends."""
    context = ssl.create_default_context()
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def answer_in_tunnel(world: World, payload: bytes, target: str = ALLOWED, step: int = 0) -> bytes:
    """Send bytes through a tunnel, at once or in steps; return what comes back, b"" when cut."""
    reply = world.proxy.connect(f"{target}:443")
    assert reply.status == 200
    with reply.tunnel as tunnel:
        tunnel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for at in range(0, len(payload), step or len(payload)):
                tunnel.sendall(payload[at : at + (step or len(payload))])
            return tunnel.recv(4096)
        except ConnectionError:
            return b""


def open_tunnel(world: World, host: str, port: int = 443) -> ssl.SSLSocket:
    tunnel = world.proxy.connect(f"{host}:{port}").tunnel
    return world.trust.wrap_socket(tunnel, server_hostname=host)


def reached(world: World, host: str, port: int = 443) -> bool:
    try:
        return "hello" in world.proxy.get(host, world.trust, port=port)
    except OSError:
        return False


def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait for a condition and return how long it took."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            message = f"not true after {seconds} s"
            raise TimeoutError(message)
        time.sleep(0.01)
    return time.monotonic() - start
