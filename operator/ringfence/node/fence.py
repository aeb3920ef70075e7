"""The packet filter inside a Sandbox Pod: its rules as text, and what it says of itself. Pure.

Containers of a Pod share one network namespace, so a NetworkPolicy cannot tell the agent from its
egress proxy; the uid of a socket can. Only the proxy's uid may leave, and only to the resolver and
to public addresses. What is refused gets an answer at once and is counted by uid and destination.
In a user namespace `skuid` is the uid inside it, so the rules are the same with and without one.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from ringfence import allowlist, names
from ringfence.node.pods import Fence

FAMILY: Final = "inet"
TABLE: Final = "ringfence"
REFUSED_COUNTER: Final = "refused"
REFUSED_SETS: Final = ("refused4", "refused6")

_MARK: Final = 0x7266
"""On the connections that the proxy was let out with. An agent can set no mark: NET_ADMIN."""
_REMEMBERED: Final = 512
"""Destinations that the kernel remembers for each Pod; the counter counts beyond that."""


_PROTOCOLS: Final = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
"""An nft without /etc/protocols, as in our image, prints their numbers."""


class Destination(NamedTuple):
    """Where refused packets were meant to go, and whose they were."""

    uid: int
    """Of the socket, as the Pod's own user namespace sees it."""
    protocol: str
    address: str
    port: int

    def __str__(self) -> str:
        """For the log."""
        return f"uid {self.uid}, {self.protocol} to {self.address} port {self.port}"


_TEMPLATE: Final = """\
table {family} {table}
delete table {family} {table}
table {family} {table} {{
  counter {counter} {{ }}
  set refused4 {{
    typeof meta skuid . meta l4proto . ip daddr . th dport
    size {remembered}; flags dynamic,timeout; timeout 1h; counter
  }}
  set refused6 {{
    typeof meta skuid . meta l4proto . ip6 daddr . th dport
    size {remembered}; flags dynamic,timeout; timeout 1h; counter
  }}
  chain output {{
    type filter hook output priority filter; policy drop
    oif "lo" accept
{proxy}
    meta skuid >= 0 goto refuse
    ct mark {mark} accept
  }}
  chain input {{
    type filter hook input priority filter; policy drop
    iif "lo" accept
    ct mark {mark} ct direction reply accept
  }}
  chain proxy {{
{ways_out}
    goto refuse
  }}
  chain refuse {{
    counter name {counter}
    update @refused4 {{ meta skuid . meta l4proto . ip daddr . th dport }}
    update @refused6 {{ meta skuid . meta l4proto . ip6 daddr . th dport }}
    reject with icmpx admin-prohibited
  }}
}}
"""


def ruleset(fence: Fence) -> str:
    """The input of `nft -f`: replaces the table in one transaction, so nothing is ever open.

    Every socket has a uid, so `skuid >= 0` means packets of programs; what the kernel sends by
    itself (neighbour discovery, the last packets of a closed connection) is dropped uncounted
    unless it belongs to a connection of the proxy. The mark counts only after the uid: the kernel
    remembers a connection when its socket has gone, and whoever takes its port inherits the mark.
    """
    ways_out = [*_ways_out(fence)]
    return _TEMPLATE.format(
        family=FAMILY,
        table=TABLE,
        counter=REFUSED_COUNTER,
        remembered=_REMEMBERED,
        mark=f"{_MARK:#x}",
        proxy=f"    meta skuid {names.PROXY_UID} goto proxy",
        ways_out="\n".join(f"    {line}" for line in ways_out),
    )


def _ways_out(fence: Fence) -> Iterable[str]:
    """The resolver is the only private address: names are resolved inside the cluster."""
    accept = f"ct mark set {_MARK:#x} accept"
    if fence.resolver:
        yield f"ip daddr {fence.resolver} meta l4proto {{ tcp, udp }} th dport 53 {accept}"
    denied = ", ".join(str(network) for network in allowlist.denied_ipv4())
    yield f"ip daddr {{ {denied} }} goto refuse"
    if fence.ports:
        ports = ", ".join(str(port) for port in sorted(fence.ports))
        yield f"ip version 4 tcp dport {{ {ports} }} {accept}"


def described(fence: Fence) -> str:
    """What the rules let through, for people."""
    ports = ", ".join(str(port) for port in sorted(fence.ports)) or "none"
    return (
        f"only uid {names.PROXY_UID} (egress proxy) leaves the Pod: DNS at "
        f"{fence.resolver or 'nowhere'}, public IPv4 addresses on TCP port {ports}"
    )


def parse_refused(text: str) -> dict[Destination, int]:
    """Packets for each destination, from `nft --json list set`.

    Raises:
        ValueError: The text is not what nft prints.
    """
    sets = (item["set"] for item in json.loads(text)["nftables"] if "set" in item)
    found = (_element(entry) for listed in sets for entry in listed.get("elem", []))
    return dict(found)


def _element(entry: Mapping[str, Any]) -> tuple[Destination, int]:
    element = entry["elem"]
    uid, protocol, address, port = element["val"]["concat"]
    name = _PROTOCOLS.get(protocol, str(protocol))
    return Destination(uid, name, address, port), element["counter"]["packets"]


def grown(
    before: Mapping[Destination, int], now: Mapping[Destination, int]
) -> dict[Destination, int]:
    """What was refused since; a count that fell was begun anew."""
    news = {key: count - before.get(key, 0) for key, count in now.items()}
    return {key: count if count > 0 else now[key] for key, count in news.items() if count}
