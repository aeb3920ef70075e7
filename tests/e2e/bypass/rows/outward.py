"""Packets that do not ask the proxy: TCP, UDP, DNS, other protocols, odd options."""

from __future__ import annotations

from typing import Any

from bypass import places
from bypass.model import Layer, Proof, Row
from cluster import config

_BOTH = (Layer.FENCE, Layer.POLICY)
_ONLY = (Layer.FENCE,)
_SECCOMP = (Layer.SECCOMP,)


def leak(row: str) -> str:
    """A name whose question is the leak: it ends up at the zone's server."""
    return f"{row}.leak.{places.ZONE}"


def _tcp(name: str, what: str, layers: tuple[Layer, ...], address: str, **args: Any) -> Row:
    return Row(name, what, "ways.tcp", {"address": address, "port": 443, **args}, layers)


def _dns(name: str, what: str, layers: tuple[Layer, ...], server: str, **args: Any) -> Row:
    return Row(name, what, "ways.dns", {"server": server, "leaked": leak(name), **args}, layers)


_TCP = (
    _tcp("tcp-443", "connect to a public address, allowed port", _ONLY, places.PUBLIC),
    _tcp("tcp-8443", "the same, other allowed port", _ONLY, places.PUBLIC, port=8443),
    _tcp("tcp-80", "connect to port 80", _BOTH, places.PUBLIC, port=80),
    _tcp("tcp-22", "connect to port 22", _BOTH, places.PUBLIC, port=22),
    _tcp("tcp-unlisted", "connect to a host that nobody listed", _ONLY, places.OTHER),
    _tcp("tcp-device", "SO_BINDTODEVICE eth0", _ONLY, places.PUBLIC, option="device"),
    Row("tcp-loopback-device", "SO_BINDTODEVICE lo", "ways.by_loopback",
        {"address": places.PUBLIC, "port": 443}, (Layer.KERNEL,), Proof.DIAL, places.HTTPS),
    _tcp("tcp-source-port", "from the proxy's own port number", _ONLY, places.PUBLIC,
         source=["own", 3128], option="reuse"),
    _tcp("tcp-source-dns", "from port 53", _ONLY, places.PUBLIC, source=["own", 53]),
    Row("tcp-source-route", "loose source routing (IP option)", "ways.tcp",
        {"address": places.PUBLIC, "port": 443, "option": "source route"},
        (*_BOTH, Layer.KERNEL), Proof.DIAL, places.HTTPS),
    _tcp("tcp-mark", "SO_MARK with the fence's own mark", (Layer.KERNEL,), places.PUBLIC,
         option="mark"),
    _tcp("tcp-transparent", "IP_TRANSPARENT", (Layer.KERNEL,), places.PUBLIC,
         option="transparent"),
    Row("tcp-fast-open", "TCP fast open: data in the SYN", "ways.fast_open",
        {"address": places.PUBLIC, "port": 443}, _ONLY),
)  # fmt: skip

_UDP = (
    Row("udp-443", "QUIC: UDP to port 443", "ways.udp",
        {"address": places.PUBLIC, "port": 443}, _BOTH),
    Row("udp-123", "UDP to port 123", "ways.udp", {"address": places.PUBLIC, "port": 123}, _BOTH),
    Row("udp-fragments", "UDP in fragments, 4000 bytes", "ways.udp",
        {"address": places.PUBLIC, "port": 443, "size": 4000}, _BOTH),
    Row("udp-fragments-dns", "UDP in fragments to the resolver", "ways.dns",
        {"server": places.DNS_SERVICE.address, "leaked": leak("x" * 60 + "." + "y" * 60)}, _ONLY),
    Row("udp-source-port", "UDP from the proxy's own port number", "ways.udp",
        {"address": places.PUBLIC, "port": 3128, "source": ["own", 3128]}, _BOTH),
    Row("udp-forged", "UDP as the resolver's address (IP_FREEBIND)", "ways.forged_source",
        {"address": places.PUBLIC, "port": 443, "source": places.DNS_SERVICE.address},
        (*_BOTH, Layer.KERNEL), Proof.ITSELF),
    Row("broadcast", "broadcast to 255.255.255.255", "ways.spread",
        {"address": "255.255.255.255", "port": 9}, _ONLY),
    Row("broadcast-subnet", "broadcast to the Pods' subnet", "ways.spread",
        {"address": "10.244.1.255", "port": 9}, _ONLY),
    Row("multicast", "multicast DNS", "ways.spread", {"address": "224.0.0.251", "port": 5353},
        _ONLY),
    Row("multicast-6", "IPv6 multicast to all nodes", "ways.spread",
        {"address": "ff02::1", "port": 9}, _ONLY),
)  # fmt: skip

_DNS = (
    _dns("dns-udp", "DNS to the cluster's resolver", _ONLY, places.DNS_SERVICE.address),
    _dns("dns-tcp", "the same over TCP", _ONLY, places.DNS_SERVICE.address, transport="tcp"),
    _dns("dns-pod-udp", "DNS to the address of a Pod of the resolver", _ONLY, "{resolver}"),
    _dns("dns-pod-tcp", "the same over TCP", _ONLY, "{resolver}", transport="tcp"),
    _dns("dns-outside-udp", "DNS to a server outside", _BOTH, places.OTHER),
    _dns("dns-outside-tcp", "the same over TCP", _BOTH, places.OTHER, transport="tcp"),
    _dns("dns-over-tls", "DNS over TLS, port 853", _BOTH, places.OTHER, transport="tcp", port=853),
    Row("dns-libc", "getaddrinfo, as any program does", "ways.lookup",
        {"leaked": leak("libc")}, (Layer.FENCE, Layer.KERNEL)),
    Row("dns-heir", "the resolver, from the port from which the proxy has asked",
        "heirs.resolver", {"address": places.DNS_SERVICE.address, "host": places.MUTE,
                           "leaked": leak("heir")}, _ONLY, Proof.ITSELF),
    Row("tcp-heir-reset", "a listed server, from the proxy's port, after the server's RST",
        "heirs.server", {"host": f"reset.{places.ZONE}", "address": places.HOSTILE["reset"]},
        _ONLY, Proof.ITSELF, permits=(places.HOSTILE["reset"],)),
    Row("tcp-heir-closed", "the same, after the server closed", "heirs.server",
        {"host": f"garbage.{places.ZONE}", "address": places.HOSTILE["garbage"]},
        _ONLY, Proof.ITSELF, permits=(places.HOSTILE["garbage"],)),
)  # fmt: skip


def _protocol(name: str, what: str, kind: str, number: int, **more: Any) -> Row:
    args = {"kind": kind, "number": number, "address": places.PUBLIC, **more}
    return Row(name, what, "ways.protocol", args, _SECCOMP, Proof.FILTER)


_PROTOCOLS = (
    Row("ping", "ICMP echo by a ping socket", "ways.ping", {"address": places.PUBLIC}, _SECCOMP),
    Row("ping-raw", "ICMP echo by a raw socket", "ways.ping",
        {"address": places.PUBLIC, "kind": "raw"}, _SECCOMP),
    _protocol("raw-ip", "any IP packet: SOCK_RAW, IPPROTO_RAW", "raw", 255),
    _protocol("raw-tcp", "TCP segments of one's own making", "raw", 6),
    _protocol("sctp", "SCTP", "stream", 132),
    _protocol("mptcp", "multipath TCP, whose later paths the kernel opens", "stream", 262),
    _protocol("dccp", "DCCP", "stream", 33),
    _protocol("udp-lite", "UDP-Lite", "datagram", 136),
    _protocol("raw-6", "a raw IPv6 socket", "raw", 58, family_=10),
    Row("link", "Ethernet frames (AF_PACKET)", "ways.link", {"address": places.PUBLIC}, _SECCOMP),
    Row("families", "every other address family, VSOCK and SMC among them", "ways.families", {},
        _SECCOMP, Proof.FILTER),
)  # fmt: skip

_CLUSTER = (
    _tcp("apiserver-service", "the API server by its Service", _BOTH, config.API_SERVICE_ADDRESS),
    _tcp("apiserver", "the API server by its address", _BOTH, config.CONTROL_ADDRESS,
         port=config.API_PORT),
    _tcp("kubelet", "the kubelet of the node", _BOTH, config.NODE_ADDRESS, port=10250),
    _tcp("gateway", "the node by the Pods' gateway", _BOTH, places.POD_GATEWAY,
         port=places.NODE_DOOR),
    _tcp("node-port", "a NodePort of the node", _BOTH, config.NODE_ADDRESS,
         port=places.NODE_PORT),
    _tcp("service", "a Service of another Pod", _BOTH, "{service}", port=80),
    _tcp("pod", "another Pod", _BOTH, "{server}", port=places.SERVER_PORT),
    Row("sandbox", "another Sandbox", "ways.tcp",
        {"address": "{neighbour}", "port": places.INBOUND_PORT}, _BOTH, Proof.OWNER),
    _tcp("dns-health", "the health port of cluster DNS", _BOTH, "{resolver}", port=8181),
)  # fmt: skip

_IPV6 = (
    Row("ipv6-loopback", "::1, one's own business", "ways.own_loopback", {"address": "::1"}),
    Row("ipv4-loopback", "127.0.0.1, one's own business", "ways.own_loopback",
        {"address": "127.0.0.1"}),
    _tcp("ipv6-mapped", "IPv4 in IPv6: ::ffff:a.b.c.d", _ONLY, places.MAPPED),
    _tcp("ipv6-mapped-metadata", "the same, metadata", _BOTH, f"::ffff:{places.METADATA}", port=80),
    _tcp("ipv6-public", "a public IPv6 address", _ONLY, places.PUBLIC_6),
    _tcp("ipv6-nat64", "NAT64: 64:ff9b::/96", _ONLY, places.NAT64),
    _tcp("ipv6-6to4", "6to4: 2002::/16", _ONLY, places.SIX_TO_FOUR),
    _tcp("ipv6-unique-local", "unique local address", _ONLY, places.UNIQUE_LOCAL),
    _tcp("ipv6-metadata", "metadata over IPv6", _ONLY, places.METADATA_6, port=80),
    Row("ipv6-udp", "UDP over IPv6", "ways.udp", {"address": places.PUBLIC_6, "port": 443}, _ONLY),
    Row("ipv6-link-local", "the node by the gateway's link-local address", "ways.link_local",
        {"port": places.NODE_DOOR}, _ONLY),
)  # fmt: skip

ROWS = (*_TCP, *_UDP, *_PROTOCOLS, *_CLUSTER, *_IPV6, *_DNS)
