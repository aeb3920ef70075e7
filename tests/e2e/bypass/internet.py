"""The stand-in internet of the table: addresses, servers, a DNS server that lies, a witness. I/O.

Two networks become dual-stack as well: on many clusters nothing but the fence stops IPv6.
"""

from __future__ import annotations

import ssl
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bypass import doors, lying_dns, places, sniffer
from bypass.model import Arrival, Place
from cluster import ClusterError, config
from cluster.shell import in_netns, run
from egress import ca

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bypass.packets import Opening
    from cluster import Cluster

MARK: Final = b"rf-bypass"
"""In every message that a row sends."""
POD_PREFIX_6: Final = "fd00:10:244::"
GATEWAY_6: Final = "fe80::77"
"""The node's address on the Pods' link, as a router would announce it."""
_BRIDGE: Final = "cni0"
_LINK_6: Final = ("fd00:9::1", "fd00:9::2")  # of the node and of the world
_FORWARDING: Final = ("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")

_ON_LO: Final = (
    *(places.PUBLIC, places.OTHER, places.RESOLVER, *places.HOSTILE.values()),
    *(places.PRIVATE, *places.CLOUDS, places.CARRIER),
)
_WEB: Final = (places.PUBLIC, places.OTHER)
_BANNERS: Final = (
    *(Place(address, port) for address in _WEB for port in (22, 80, 853, 3128)),
    *(Place(address, port) for address in places.CLOUDS for port in (80, 443)),
    *(Place(address, 443) for address in (places.PRIVATE, places.CARRIER, *places.ADDRESSES_6)),
    Place(places.METADATA_6, 80),
)
_ECHOES: Final = (
    *(Place(places.PUBLIC, port) for port in (53, 123, 443, 3128)),
    *(Place(address, 443) for address in (places.OTHER, *places.ADDRESSES_6)),
    Place(places.METADATA, 80),
)


@dataclass
class Internet:
    """What is outside, and what it has seen."""

    world: sniffer.Sniffer
    bridge: sniffer.Sniffer
    dns: lying_dns.Liar

    def between(self, start: float, end: float) -> tuple[Arrival, ...]:
        """Everything that arrived in that time, names that nobody listed among it."""
        links = (self.world, self.bridge)
        arrivals = [arrival for link in links for arrival in link.between(start, end)]
        asked = [a for a in list(self.dns.asked) if start <= a.at < end and not _listed(a.address)]
        return tuple(sorted([*arrivals, *asked], key=lambda arrival: arrival.at))


def _listed(name: str) -> bool:
    return name in places.LISTED or f"*.{name.partition('.')[2]}" in places.LISTED


def _counts(found: Opening, _packet: bytes) -> bool:
    """All but the index of the other tests, and what cluster DNS asks for."""
    ours = found.address in (config.WORLD_INDEX, config.WORLD_ROUTER)
    return not ours and (found.address, found.port) != (places.RESOLVER, 53)


def _spread(found: Opening, packet: bytes) -> bool:
    """To many on the link, with our mark: others talk there as well."""
    first = found.address.partition(".")[0]
    high = first.isdigit() and int(first) >= 224
    many = found.address.startswith("ff") or found.address.endswith(".255") or high
    return many and MARK in packet


@contextmanager
def open_internet(cluster: Cluster, directory: Path) -> Iterator[Internet]:
    """Everything that a Sandbox could reach, until the block ends."""
    world, node = config.WORLD_NETNS, config.NODE_NETNS
    with ExitStack() as stack:
        for address in _ON_LO:
            stack.enter_context(_address(cluster, f"{address}/32"))
        for address in places.ADDRESSES_6:
            stack.enter_context(_address(cluster, f"{address}/128"))
        _join_ipv6()
        opened = stack.enter_context(doors.doors(world, _BANNERS))
        _open_more(opened, _server_context(directory))
        dns = stack.enter_context(lying_dns.lying(world, (places.RESOLVER, places.OTHER)))
        outside = stack.enter_context(sniffer.sniffing(world, "eth0", _counts))
        bridge = stack.enter_context(sniffer.sniffing(node, _BRIDGE, _spread))
        yield Internet(outside, bridge, dns)


@contextmanager
def _address(cluster: Cluster, address: str) -> Iterator[None]:
    nodad = ("nodad",) if ":" in address else ()
    cluster.world_exec("ip", "address", "replace", address, "dev", "lo", *nodad)
    try:
        yield
    finally:
        with suppress(ClusterError):
            cluster.world_exec("ip", "address", "del", address, "dev", "lo")


def _join_ipv6() -> None:
    """A route from the Pods' link to the world and back; it goes with the cluster."""
    node, world = config.NODE_NETNS, config.WORLD_NETNS
    for netns, device, address in (
        (node, "world", f"{_LINK_6[0]}/64"),
        (world, "eth0", f"{_LINK_6[1]}/64"),
        (node, _BRIDGE, f"{POD_PREFIX_6}1/64"),
        (node, _BRIDGE, f"{GATEWAY_6}/64"),
    ):
        _ip_6(netns, "address", "replace", address, "dev", device, "nodad")
    run(*in_netns(node, *_FORWARDING))
    _ip_6(node, "route", "replace", "default", "via", _LINK_6[1])
    _ip_6(world, "route", "replace", f"{POD_PREFIX_6}/64", "via", _LINK_6[0])


def _ip_6(netns: str, *words: str) -> None:
    run(*in_netns(netns, "ip", "-6", *words))


def _server_context(directory: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = [places.ALLOWED, places.UNLISTED, places.DOH, f"*.wild.{places.ZONE}", places.REBIND]
    context.load_cert_chain(*ca.issue(names, directory))
    return context


def _open_more(opened: doors.Doors, context: ssl.SSLContext) -> None:
    world, secure = config.WORLD_NETNS, doors.https(context)
    for place in (*(Place(a, 443) for a in _WEB), Place(places.PUBLIC, 8443)):
        opened.open(world, place, secure)
    for kind, address in places.HOSTILE.items():
        handler = {"garbage": doors.garbage, "silent": doors.silent, "flood": doors.flood}
        opened.open(world, Place(address, 443), handler.get(kind, doors.reset))
    for address in (places.POD_GATEWAY, f"{GATEWAY_6}%{_BRIDGE}"):
        opened.open(config.NODE_NETNS, Place(address, places.NODE_DOOR), doors.banner)
        opened.echo(config.NODE_NETNS, Place(address, places.NODE_DOOR))
    for place in _ECHOES:
        opened.echo(world, place)
