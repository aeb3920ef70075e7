"""Ways out that do not go through the proxy: TCP, UDP, DNS, ICMP, IPv6, odd protocols and options.

Runs inside the Sandbox.
"""

import ipaddress
import select
import socket
import struct
from typing import Final

from bypass.probes.wire import (
    MARK,
    SECONDS,
    Heard,
    How,
    Option,
    family,
    first,
    guarded,
    own_address,
    prepared,
    sent,
)
from ringfence.attack.probes.kit import refusal

_ECHO: Final = 8
_FASTOPEN: Final = 0x20000000  # MSG_FASTOPEN
_FASTOPEN_CONNECT: Final = 30
_BIND_TO_DEVICE: Final = 25
_FREEBIND, _TRANSPARENT, _IP_OPTIONS, _MTU_DISCOVER = 15, 19, 4, 10
_SOURCE_ROUTE: Final = b"\x83\x07\x04"
_COMMON_FAMILIES: Final = frozenset({1, 2, 10, 16})
_FAMILIES: Final = 46


def tcp(address: str, port: int, source: list[str | int] | None = None, option: str = "") -> Heard:
    """Connects; the address may be spelled in any way that the C library understands."""
    return guarded(lambda: _tcp(address, port, How(_options(option), _bound(source))))


def by_loopback(address: str, port: int) -> Heard:
    """Out by the loopback device, which the fence lets pass, in the hope of being forwarded.

    No network is asked, so silence is the kernel's.
    """
    heard = tcp(address, port, option="loopback device")
    return heard._replace(where="kernel", outcome="refused") if heard.outcome == "silent" else heard


def _bound(source: list[str | int] | None) -> tuple[str, int] | None:
    """A source of one's own choice; `own` stands for the Pod's address."""
    if not source:
        return None
    return own_address() if source[0] == "own" else str(source[0]), int(source[1])


def _tcp(address: str, port: int, how: How) -> Heard:
    def dial(made: socket.socket) -> str:
        made.connect((address, port))
        return f"connected from port {made.getsockname()[1]}"

    return sent(prepared(address, how), dial)


def _options(option: str) -> tuple[Option, ...]:
    """What an unprivileged program may ask of a socket, and what it may not."""
    gateway = socket.inet_aton("203.0.113.1")
    made: dict[str, tuple[Option, ...]] = {
        "": (),
        "loopback device": ((socket.SOL_SOCKET, _BIND_TO_DEVICE, b"lo\0"),),
        "device": ((socket.SOL_SOCKET, _BIND_TO_DEVICE, b"eth0\0"),),
        "source route": ((socket.IPPROTO_IP, _IP_OPTIONS, _SOURCE_ROUTE + gateway + b"\0"),),
        "no route": ((socket.SOL_SOCKET, socket.SO_DONTROUTE, 1),),
        "reuse": ((socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),),
        "mark": ((socket.SOL_SOCKET, socket.SO_MARK, 0x7266),),
        "transparent": ((socket.IPPROTO_IP, _TRANSPARENT, 1),),
        "fast open": ((socket.IPPROTO_TCP, _FASTOPEN_CONNECT, 1),),
    }
    return made[option]


def fast_open(address: str, port: int) -> Heard:
    """Data in the SYN."""

    def dial(made: socket.socket) -> str:
        made.settimeout(None)  # or the call would return before anything is known
        made.sendto(MARK, _FASTOPEN, (address, port))
        return "sent"

    def deferred(made: socket.socket) -> str:
        made.connect((address, port))  # the kernel says yes at once, whatever comes of it
        made.sendall(MARK)
        made.recv(1)
        return "sent"

    def both() -> Heard:
        later = How(_options("fast open"))
        return first(
            [sent(prepared(address, How()), dial), sent(prepared(address, later), deferred)]
        )

    return guarded(both)


def udp(address: str, port: int, size: int = 0, source: list[str | int] | None = None) -> Heard:
    """Sends a datagram, in fragments if it is a long one, and waits for an answer."""
    message = MARK.ljust(size, b".")
    return guarded(lambda: _udp(address, port, message, How(source=_bound(source))))


def _udp(address: str, port: int, message: bytes, how: How, seconds: float = 1.0) -> Heard:
    def ask(made: socket.socket) -> str:
        made.settimeout(seconds)
        made.connect((address, port))
        made.send(message)
        return f"{len(made.recv(65536))} bytes came back"

    return sent(prepared(address, how._replace(kind=socket.SOCK_DGRAM)), ask)


def dns(server: str, leaked: str, transport: str = "udp", port: int = 53) -> Heard:
    """Asks a DNS server for a name that carries what is to be leaked."""
    question = query(leaked)
    if transport == "udp":
        return guarded(lambda: _udp(server, port, question, How()))

    def ask(made: socket.socket) -> str:
        made.connect((server, port))
        made.sendall(len(question).to_bytes(2, "big") + question)
        return f"{len(made.recv(4096))} bytes came back"

    return guarded(lambda: sent(prepared(server, How()), ask))


def query(leaked: str) -> bytes:
    """A question for the address of a name."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in leaked.split("."))
    return struct.pack("!6H", 0x7266, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, 1, 1)


def lookup(leaked: str) -> Heard:
    """As any program would: through the C library."""
    try:
        found = socket.getaddrinfo(leaked, 443)
    except OSError as error:
        return Heard("refused", "kernel", f"getaddrinfo: {error}")
    return Heard("through", "", str(found[0][4]))


def protocol(kind: str, number: int, address: str, family_: int = int(socket.AF_INET)) -> Heard:
    """A socket of another protocol; the filter is asked about it as well."""
    type_ = int(
        {"stream": socket.SOCK_STREAM, "datagram": socket.SOCK_DGRAM}.get(kind, socket.SOCK_RAW)
    )
    heard = refusal("socket", family_, type_, number)
    if heard:
        return Heard("refused", "seccomp", f"{heard}, by the filter itself")
    how = How(kind=type_, protocol=number)

    def send(made: socket.socket) -> str:
        made.connect((address, 443))
        made.send(MARK if type_ != socket.SOCK_RAW else _echo())
        return "sent"

    return guarded(lambda: sent(prepared(address, how), send))


def _echo() -> bytes:
    head = struct.pack("!BBHHH", _ECHO, 0, 0, 1, 1) + MARK + b"."
    total = sum(struct.unpack(f"!{len(head) // 2}H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:2] + struct.pack("!H", ~total & 0xFFFF) + head[4:]


def ping(address: str, kind: str = "datagram") -> Heard:
    """An ICMP echo from a ping socket, or from a raw one."""
    type_ = socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_RAW
    heard = refusal("socket", int(socket.AF_INET), int(type_), socket.IPPROTO_ICMP)
    if heard:
        return Heard("refused", "seccomp", f"{heard}, by the filter itself")

    def ask(made: socket.socket) -> str:
        made.sendto(_echo(), (address, 0))
        ready, _, _ = select.select([made], [], [], SECONDS)
        return f"answered: {bool(ready)}"

    return guarded(
        lambda: sent(prepared(address, How(kind=type_, protocol=socket.IPPROTO_ICMP)), ask)
    )


def link(address: str) -> Heard:
    """Ethernet frames by AF_PACKET, which no IP filter sees."""
    heard = refusal("socket", int(socket.AF_PACKET), int(socket.SOCK_DGRAM), 0)
    if heard:
        return Heard("refused", "seccomp", f"{heard}, by the filter itself")

    def send() -> Heard:
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as made:
            made.sendto(_datagram(address), ("eth0", 0x0800, 0, 0, b"\xff" * 6))
        return Heard("through", "", f"a frame for {address}")

    return guarded(send)


def _datagram(address: str) -> bytes:
    source, target = socket.inet_aton(own_address()), socket.inet_aton(address)
    body = struct.pack("!4H", 443, 443, 8 + len(MARK), 0) + MARK
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, 17, 0) + source + target
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:] + body


def families() -> Heard:
    """Every other address family, VSOCK and SMC among them: not one socket is to be had."""
    types = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET)
    wanted = [(f, int(t)) for f in range(_FAMILIES) if f not in _COMMON_FAMILIES for t in types]
    passed = [f"family {f} type {t}" for f, t in wanted if not refusal("socket", f, t, 0)]
    if passed:
        return Heard("through", "", ", ".join(passed[:5]))
    return Heard("refused", "seccomp", f"{len(wanted)} kinds, by the filter itself")


def spread(address: str, port: int) -> Heard:
    """To many at once: broadcast or multicast. Nobody answers; the link's witness counts."""

    def send() -> Heard:
        kind = socket.SOCK_DGRAM
        options: tuple[Option, ...] = ((socket.SOL_SOCKET, socket.SO_BROADCAST, 1),)
        made = prepared(address, How(options, kind=kind))
        scope = "%eth0" if family(address) == socket.AF_INET6 else ""
        place = socket.getaddrinfo(f"{address}{scope}", port, type=kind)[0][4]
        heard = sent(made, lambda s: f"{s.sendto(MARK, place)} bytes sent")
        return heard._replace(outcome="silent", where="nobody") if not heard.where else heard

    return guarded(send)


def link_local(port: int) -> Heard:
    """The node itself by its link-local address: every first hop of a route has one.

    By UDP as well: the kernel tells a sender of its filter's verdict, but a rejection of TCP to
    such an address finds no way back to the socket.
    """
    gateway = _gateway_6()
    if not gateway:
        return Heard("untried", "", "no IPv6 gateway")

    place = socket.getaddrinfo(f"{gateway}%eth0", port, type=socket.SOCK_STREAM)[0][4]

    def connect(made: socket.socket) -> str:
        made.connect(place)
        return "connected"

    def ask(made: socket.socket) -> str:
        made.sendto(MARK, place)
        return f"{len(made.recv(99))} bytes came back"

    def both() -> Heard:
        datagram = How(kind=socket.SOCK_DGRAM)
        asked = sent(prepared(gateway, datagram), ask)
        connected = sent(prepared(gateway, How()), connect)
        return connected if connected.outcome == "through" else asked

    return guarded(both)


def _gateway_6() -> str:
    """The next hop of the default route."""
    with open("/proc/net/ipv6_route") as file:
        words = [line.split() for line in file]
    hops = [w[4] for w in words if w[1] == "00" and w[9] == "eth0" and int(w[4], 16)]
    return str(ipaddress.IPv6Address(int(hops[0], 16))) if hops else ""


def own_loopback(address: str) -> Heard:
    """What the agent does with itself is its own business."""
    with socket.create_server((address, 0), family=family(address)) as listener:
        port = listener.getsockname()[1]
        return guarded(lambda: _tcp(address, port, How()))


def forged_source(address: str, port: int, source: str) -> Heard:
    """A datagram that claims to come from somebody else, without any right: IP_FREEBIND."""
    options: tuple[Option, ...] = ((socket.IPPROTO_IP, _FREEBIND, 1),)

    def send(made: socket.socket) -> str:
        return f"{made.sendto(MARK, (address, port))} bytes sent as {source}"

    how = How(options, (source, 0), socket.SOCK_DGRAM)
    return guarded(lambda: sent(prepared(address, how), send))
