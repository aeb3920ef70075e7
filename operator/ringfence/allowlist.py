"""The egress data that ships with the operator: default hosts and forbidden networks.

Reads two small text files of the package once and hands out immutable values, so that the
NetworkPolicy, the proxy configuration and the packet filter cannot disagree. It must not hold a
host name or network itself, and must not look at any Sandbox.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Network, IPv6Network, ip_network


def _lines(name: str) -> Iterator[str]:
    text = (files("ringfence") / "data" / name).read_text(encoding="utf-8")
    for line in text.splitlines():
        if content := line.partition("#")[0].strip():
            yield content


@cache
def default_hosts() -> tuple[str, ...]:
    """Hosts that a Sandbox without an own allowlist may reach over HTTPS, in file order."""
    return tuple(_lines("default_egress_allowlist.txt"))


@cache
def _denied() -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(line) for line in _lines("egress_denied_cidrs.txt"))


@cache
def denied_ipv4() -> tuple[IPv4Network, ...]:
    """IPv4 networks that no Sandbox may reach, in file order."""
    return tuple(network for network in _denied() if isinstance(network, IPv4Network))


@cache
def denied_ipv6() -> tuple[IPv6Network, ...]:
    """IPv6 networks that no Sandbox may reach, in file order."""
    return tuple(network for network in _denied() if isinstance(network, IPv6Network))
