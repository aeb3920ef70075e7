"""What a packet would open: its protocol, its destination, its port. Pure.

Only what begins something counts: a SYN, a datagram, an echo request. Answers, the rest of a
connection and what links say by themselves (neighbour discovery, IGMP) do not.
"""

from __future__ import annotations

import socket
import struct
from typing import Final, NamedTuple

_NAMES: Final = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 58: "icmp6", 132: "sctp", 136: "lite"}
_IGMP: Final = 2
_TCP, _UDP, _ICMP, _ICMP_6 = 6, 17, 1, 58
_SYN, _ACK = 0x02, 0x10
_ECHO, _ECHO_6 = 8, 128
_FRAGMENT_6: Final = 44
_OPTIONS_6: Final = (0, 43, 60)


class Opening(NamedTuple):
    """What a packet begins."""

    protocol: str
    address: str
    port: int


def opening(packet: bytes) -> Opening | None:
    """What an IP packet, without its link's header, begins; None: nothing."""
    version = packet[0] >> 4 if packet else 0
    if version == 4:
        return _opening_4(packet)
    return _opening_6(packet) if version == 6 else None


def _opening_4(packet: bytes) -> Opening | None:
    fragment = struct.unpack_from("!H", packet, 6)[0] & 0x1FFF
    address = socket.inet_ntop(socket.AF_INET, packet[16:20])
    payload = packet[(packet[0] & 15) * 4 :]
    return _begun(packet[9], address, payload, first=fragment == 0)


def _opening_6(packet: bytes) -> Opening | None:
    kind, payload, first = packet[6], packet[40:], True
    while kind in _OPTIONS_6 and payload:
        kind, payload = payload[0], payload[8 * (payload[1] + 1) :]
    if kind == _FRAGMENT_6:
        first = struct.unpack_from("!H", payload, 2)[0] & 0xFFF8 == 0
        kind, payload = payload[0], payload[8:]
    return _begun(kind, socket.inet_ntop(socket.AF_INET6, packet[24:40]), payload, first=first)


def _begun(kind: int, address: str, payload: bytes, *, first: bool) -> Opening | None:
    """A later fragment has no header of its own; it counts by its protocol."""
    if kind == _IGMP or (first and not _begins(kind, payload)):
        return None
    ported = first and kind not in (_ICMP, _ICMP_6) and len(payload) >= 4
    port = struct.unpack_from("!H", payload, 2)[0] if ported else 0
    return Opening(_NAMES.get(kind, str(kind)), address, port)


def _begins(kind: int, payload: bytes) -> bool:
    if kind == _TCP:
        return len(payload) > 13 and payload[13] & (_SYN | _ACK) == _SYN
    if kind in (_ICMP, _ICMP_6):
        return payload[:1] == bytes([_ECHO if kind == _ICMP else _ECHO_6])
    return True
