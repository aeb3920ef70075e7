"""Sees every packet that comes in on a link, with the kernel's own time of arrival. I/O.

The surest witness: whatever leaves a Pod by whatever protocol is seen, whether or not somebody
listens for it. The clock is the machine's, so rows that ran in a Pod can be matched by time.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from bypass.model import Arrival
from bypass.packets import Opening, opening
from egress.netns import inside

if TYPE_CHECKING:
    from collections.abc import Iterator

_ANY: Final = 3  # ETH_P_ALL
_TIMESTAMP: Final = 35  # SO_TIMESTAMPNS, and the type of its message
_OUTGOING: Final = 4  # PACKET_OUTGOING
_LONGEST: Final = 65536
_BUFFER: Final = 8 << 20
_POLL_SECONDS: Final = 0.1

Wanted = Callable[[Opening, bytes], bool]


class Sniffer:
    """Arrivals on one link."""

    def __init__(self, source: socket.socket, wanted: Wanted) -> None:
        self._source = source
        self._wanted = wanted
        self._arrivals: list[Arrival] = []
        self._stop = threading.Event()

    def between(self, start: float, end: float) -> list[Arrival]:
        """What arrived in that time (seconds since the epoch)."""
        return [arrival for arrival in list(self._arrivals) if start <= arrival.at < end]

    def since(self, start: float) -> list[Arrival]:
        """What arrived from then on."""
        return self.between(start, float("inf"))

    def watch(self) -> None:
        """Reads packets until `stop`."""
        while not self._stop.is_set():
            try:
                packet, ancillary, _, place = self._source.recvmsg(_LONGEST, 64)
            except TimeoutError:
                continue
            if place[2] != _OUTGOING:
                self._note(packet, ancillary)

    def stop(self) -> None:
        """Ends `watch`."""
        self._stop.set()

    def _note(self, packet: bytes, ancillary: list[tuple[int, int, bytes]]) -> None:
        found = opening(packet)
        if found and self._wanted(found, packet):
            seconds, nanoseconds = struct.unpack_from("qq", ancillary[0][2])
            self._arrivals.append(Arrival(seconds + nanoseconds / 1e9, *found))


@contextmanager
def sniffing(netns: str, device: str, wanted: Wanted) -> Iterator[Sniffer]:
    """Watches a link of a namespace until the block ends.

    Args:
        netns: The namespace.
        device: The link.
        wanted: Says whether a packet counts.
    """
    with inside(netns):
        source = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ANY))
        source.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        source.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
        source.bind((device, _ANY))
    source.settimeout(_POLL_SECONDS)
    sniffer = Sniffer(source, wanted)
    thread = threading.Thread(target=sniffer.watch)
    thread.start()
    try:
        yield sniffer
    finally:
        sniffer.stop()
        thread.join()
        source.close()
