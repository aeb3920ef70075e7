"""Network namespaces and links of the cluster.

    host --/30-- rf-control [bridge rf-lan 10.77.0.1/24] --- rf-node-1 (10.77.0.11)
                                  |                              |
                        node 2 (10.77.0.12)   rf-world 203.0.113.0/24 (the "internet")

No namespace has a route to the machine's own network: test traffic cannot leave it.
Node 2 is a virtual machine; its way to the world leads through node 1.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from cluster import config
from cluster.shell import in_netns, run

RUN: Final = Path("/run/netns")
NAMESPACES: Final = (config.CONTROL_NETNS, config.NODE_NETNS, config.WORLD_NETNS)

# Masquerade towards the world only: the API server sees the Pods' own addresses.
_NODE_NFT = f"""
table ip rf-world {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {{ {config.POD_CIDR}, {config.NODE_2_ADDRESS} }} oifname "world" masquerade
  }}
}}
"""


def create() -> None:
    """Make namespaces, links, addresses and routes; what exists already is made anew."""
    remove()
    for name in NAMESPACES:
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    _create_control_lan()
    _link_host()
    _link_node()
    _link_world()


def remove() -> None:
    """Remove namespaces and links; the links inside go with their namespaces."""
    for name in NAMESPACES:
        if (RUN / name).exists():
            run("ip", "netns", "delete", name)
    # Its peer's namespace takes the link along, but only once the kernel has cleaned up.
    run("ip", "link", "delete", config.HOST_LINK, check=False)
    _remove_empty_run_directory()


def create_tap() -> None:
    """Make the link of node 2, in the bridge."""
    remove_tap()
    netns, tap = config.CONTROL_NETNS, config.NODE_2_TAP
    _ip(netns, "tuntap add dev", tap, "mode tap")
    _ip(netns, "link set", tap, "master", config.LAN_BRIDGE, "up")


def remove_tap() -> None:
    """Remove the link of node 2, if it is there."""
    if (RUN / config.CONTROL_NETNS).exists():
        run("ip", "-n", config.CONTROL_NETNS, "link", "delete", config.NODE_2_TAP, check=False)


def _remove_empty_run_directory() -> None:
    """Undo the mount that the first `ip netns add` of a machine leaves behind."""
    if RUN.is_dir() and not any(RUN.iterdir()):
        run("umount", RUN, check=False)
        with contextlib.suppress(OSError):  # somebody is just making a namespace
            RUN.rmdir()


def _create_control_lan() -> None:
    netns = config.CONTROL_NETNS
    _ip(netns, "link add", config.LAN_BRIDGE, "type bridge")
    _ip(netns, "address add", f"{config.CONTROL_ADDRESS}/24", "dev", config.LAN_BRIDGE)
    _ip(netns, "link set", config.LAN_BRIDGE, "up")
    _ip(netns, "route add", config.NODE_POD_CIDR, "via", config.NODE_ADDRESS)
    _ip(netns, "route add", config.NODE_2_POD_CIDR, "via", config.NODE_2_ADDRESS)


def _link_host() -> None:
    run(
        *("ip", "link", "add", config.HOST_LINK, "type", "veth"),
        *("peer", "name", "host", "netns", config.CONTROL_NETNS),
    )
    run("ip", "address", "add", config.HOST_LINK_ADDRESS, "dev", config.HOST_LINK)
    run("ip", "link", "set", config.HOST_LINK, "up")
    _address(config.CONTROL_NETNS, "host", f"{config.API_HOST_ADDRESS}/30")


def _link_node() -> None:
    _veth("rf-n1", config.CONTROL_NETNS, "eth0", config.NODE_NETNS)
    _ip(config.CONTROL_NETNS, "link set rf-n1 master", config.LAN_BRIDGE, "up")
    _address(config.NODE_NETNS, "eth0", f"{config.NODE_ADDRESS}/24")
    _ip(config.NODE_NETNS, "route add", config.NODE_2_POD_CIDR, "via", config.NODE_2_ADDRESS)


def _link_world() -> None:
    node, world = config.NODE_NETNS, config.WORLD_NETNS
    _veth("world", node, "eth0", world)
    _address(node, "world", f"{config.WORLD_GATEWAY}/24")
    for address in (config.WORLD_ROUTER, config.WORLD_INDEX):
        _address(world, "eth0", f"{address}/24")
    _ip(world, "route add default via", config.WORLD_GATEWAY)
    _ip(node, "route add default via", config.WORLD_ROUTER)
    run(*in_netns(node, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
    run(*in_netns(node, "nft", "-f", "-"), stdin=_NODE_NFT)


def _veth(name: str, netns: str, peer: str, peer_netns: str) -> None:
    run(
        "ip", "link", "add", name, "netns", netns, "type", "veth", "peer", peer, "netns", peer_netns
    )


def _address(netns: str, device: str, address: str) -> None:
    _ip(netns, "address add", address, "dev", device)
    _ip(netns, "link set", device, "up")


def _ip(netns: str, *words: str) -> None:
    run("ip", "-n", netns, *(part for word in words for part in word.split()))
