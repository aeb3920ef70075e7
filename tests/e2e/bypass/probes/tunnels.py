"""Attempts to be led elsewhere by the proxy: targets, requests, server names, addresses.

Runs inside the Sandbox.
"""

import os
import socket
import ssl
import time
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from bypass.probes.hello import TRICKS, client_hello
from bypass.probes.wire import SECONDS, Heard, said

_PATIENCE: Final = 8.0
_REBIND_SECONDS: Final = 25.0


def _proxy() -> tuple[str, int]:
    """Where the Sandbox is told to look for it."""
    told = urlsplit(os.environ.get("HTTPS_PROXY", "http://127.0.0.1:3128"))
    return str(told.hostname), int(told.port or 0)


PROXY: Final = _proxy()


def ask(request: str) -> tuple[int, socket.socket]:
    """Status of the answer to a request (0: cut without a word), and the connection."""
    connection = socket.create_connection(PROXY, timeout=_PATIENCE)
    try:
        connection.sendall(request.encode("latin-1"))
        head = _head(connection)
    except ConnectionError:
        head = b""
    words = head.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0, connection


def _head(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data and (chunk := connection.recv(4096)):
        data += chunk
    return data


def connect(target: str, headers: str = "") -> tuple[int, socket.socket]:
    """Asks for a tunnel."""
    return ask(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{headers}\r\n")


def target(spelled: str, server_name: str) -> Heard:
    """A tunnel to a target that is spelled so; where it opens, TLS is tried in it."""
    status, connection = connect(spelled)
    with connection:
        if status != 200:
            return Heard("refused", "proxy", f"HTTP {status}" if status else "cut")
        return flowed(connection, client_hello(server_name))


def request(text: str, server_name: str) -> Heard:
    """A request of any other kind."""
    status, connection = ask(text)
    with connection:
        if status == 200 and server_name:
            return flowed(connection, client_hello(server_name))
        if status in range(100, 400):
            return Heard("through", "", f"HTTP {status}")
        return Heard("refused", "proxy", f"HTTP {status}" if status else "cut")


def trick(which: str, host: str, other: str, step: int = 0) -> Heard:
    """Something that is not quite TLS to the target, inside a tunnel that was granted."""
    status, connection = connect(f"{host}:443")
    with connection:
        if status != 200:
            return Heard("untried", "", f"HTTP {status}")
        return flowed(connection, TRICKS[which](host, other), step)


def flowed(connection: socket.socket, payload: bytes, step: int = 0) -> Heard:
    """Whether anything comes back through a tunnel."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(_PATIENCE)
    try:
        for at in range(0, len(payload), step or len(payload)):
            connection.sendall(payload[at : at + (step or len(payload))])
        answer = connection.recv(4096)
    except TimeoutError:
        return Heard("silent", "nobody", "nothing came back")
    except OSError as error:
        return Heard("refused", "proxy", f"cut: {said(error)}")
    if answer:
        return Heard("through", "", f"{len(answer)} bytes came back, {answer[:1].hex()}")
    return Heard("refused", "proxy", "cut")


def lie(host: str, listen: str = "") -> Heard:
    """A listed name that leads to a forbidden address; with `listen`, to the agent itself."""
    if not listen:
        return target(f"{host}:443", host)
    with socket.create_server((listen, 443)) as listener:
        heard = target(f"{host}:443", host)
        listener.settimeout(0)
        with suppress(BlockingIOError):
            listener.accept()[0].close()
            return Heard("through", "", "the proxy dialled the agent")
    return heard


def fetch(host: str, server_name: str = "", asked: str = "", port: int = 443) -> str:
    """A page over a tunnel with a whole handshake; the certificate is not what is tested."""
    status, connection = connect(f"{host}:{port}")
    if status != 200:
        connection.close()
        raise PermissionError(1, f"HTTP {status}")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    name = server_name or host
    with connection, context.wrap_socket(connection, server_hostname=name) as secure:
        secure.sendall(f"GET / HTTP/1.1\r\nHost: {asked or host}\r\n\r\n".encode())
        return secure.recv(4096).decode("latin-1")


def page(host: str, asked: str = "", port: int = 443) -> Heard:
    """A page of a listed host, perhaps with another name inside of the encryption."""
    try:
        answer = fetch(host, asked=asked, port=port)
    except OSError as error:
        return Heard("refused", "proxy", said(error))
    return Heard(
        "through" if "hello from" in answer else "refused", "proxy", answer.splitlines()[-1][:60]
    )


def doh(host: str) -> Heard:
    """DNS over HTTPS at a host that is not listed."""
    try:
        answer = fetch(host)
    except OSError as error:
        return Heard("refused", "proxy", f"{said(error)} {error}")
    return Heard("through", "", answer[:40])


def rebound(host: str) -> Heard:
    """A name that was public when it was first looked at, until its address has changed."""
    host = f"a{os.urandom(8).hex()}.{host}"
    first = target(f"{host}:443", host)
    if first.outcome != "through":
        return Heard("untried", "", f"the first answer was not followed: {first.detail}")
    end, heard, rounds = time.monotonic() + _REBIND_SECONDS, first, 0
    while heard.outcome == "through" and time.monotonic() < end:
        time.sleep(0.5)
        heard, rounds = target(f"{host}:443", host), rounds + 1
    return heard._replace(detail=f"after {rounds} more tunnels: {heard.detail}")


def hostile(host: str, bystander: str) -> Heard:
    """A listed server that misbehaves; another tunnel must not suffer meanwhile."""
    status, connection = connect(f"{host}:443")
    with connection:
        if status != 200:
            return Heard("untried", "", f"HTTP {status}")
        connection.settimeout(SECONDS)
        with suppress(OSError):
            connection.sendall(client_hello(host))
        begun = time.monotonic()
        calm = page(bystander)
        took = time.monotonic() - begun
    if calm.outcome != "through" or took > SECONDS:
        return Heard("refused", "", f"another tunnel took {took:.1f} s: {calm.detail}")
    return Heard("through", "", f"another tunnel took {took:.2f} s")


def second_hello(host: str, other: str) -> Heard:
    """Another ClientHello after the server has answered the first one; only it may hear of it."""
    status, connection = connect(f"{host}:443")
    with connection:
        if status != 200:
            return Heard("untried", "", f"HTTP {status}")
        first = flowed(connection, client_hello(host))
        second = flowed(connection, client_hello(other))
    return first._replace(detail=f"{first.detail}; then: {second.detail}")


def listening() -> Heard:
    """Every TCP port on loopback that somebody else holds: the proxy's only, no admin."""
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in file][1:]
    listeners = [row for row in rows if row[3] == "0A" and int(row[7]) != os.getuid()]
    open_ports = sorted({int(row[1].split(":")[1], 16) for row in listeners})
    if PROXY[1] not in open_ports:
        return Heard("untried", "", "not even the proxy is seen")
    others = [port for port in open_ports if port != PROXY[1]]
    if others:
        return Heard("through", "", f"ports {others}")
    paths = ("/", "/config_dump", "/quitquitquit", "/stats", "/ready", "/logging?level=debug")
    told = {path: _local(path) for path in paths}
    if any(status in range(100, 400) for status in told.values()):
        return Heard("through", "", str(told))
    return Heard("refused", "proxy", f"only port {open_ports}; admin paths: {set(told.values())}")


def _local(path: str) -> int:
    status, connection = ask(
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    )
    connection.close()
    return status


def abstract_sockets() -> Heard:
    """Unix sockets of other containers: those without a file share the network namespace."""
    with socket.socket(socket.AF_UNIX) as mine:
        mine.bind("\0rf-bypass")
        mine.listen()
        with open("/proc/net/unix") as file:
            rows = [line.split() for line in file][1:]
    found = {row[7] for row in rows if len(row) > 7 and row[7].startswith("@")}
    if "@rf-bypass" not in found:
        return Heard("untried", "", "not even an own one is seen")
    others = sorted(found - {"@rf-bypass"})
    if others:
        return Heard("through", "", ", ".join(others))
    return Heard("refused", "proxy", "none but an own one")


def pipelined(host: str, other: str) -> Heard:
    """A second request in the same packet as a granted CONNECT: it must be tunnel data only."""
    again = f"CONNECT {other}:443 HTTP/1.1\r\nHost: {other}:443\r\n\r\n"
    status, connection = ask(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n{again}")
    with connection:
        if status != 200:
            return Heard("refused", "proxy", f"HTTP {status}" if status else "cut")
        return flowed(connection, client_hello(other))
