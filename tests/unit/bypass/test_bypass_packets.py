"""The witness of the stand-in internet counts what begins something, whatever its protocol."""

import socket
import struct

import pytest

from bypass.packets import opening

SYN, ACK = 0x02, 0x10


def ipv4(protocol: int, payload: bytes, fragment: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, fragment, 64, protocol, 0)
    return head + socket.inet_aton("10.0.0.1") + socket.inet_aton("203.0.113.20") + payload


def ipv6(protocol: int, payload: bytes) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64)
    ends = ("fd00::1", "2001:db8::2")
    return head + b"".join(socket.inet_pton(socket.AF_INET6, end) for end in ends) + payload


def tcp(flags: int) -> bytes:
    return struct.pack("!HHIIBBHHH", 40000, 443, 0, 0, 0x50, flags, 0, 0, 0)


UDP = struct.pack("!HHHH", 40000, 53, 8, 0)


def test_first_segment_of_a_connection_counts() -> None:
    assert opening(ipv4(6, tcp(SYN))) == ("tcp", "203.0.113.20", 443)
    assert opening(ipv6(6, tcp(SYN))) == ("tcp", "2001:db8::2", 443)


@pytest.mark.parametrize("flags", [ACK, SYN | ACK, 0x11, 0x04])
def test_later_segments_do_not_count(flags: int) -> None:
    assert opening(ipv4(6, tcp(flags))) is None


def test_datagram_counts_with_its_port() -> None:
    assert opening(ipv4(17, UDP)) == ("udp", "203.0.113.20", 53)


def test_later_fragment_counts_without_a_port() -> None:
    assert opening(ipv4(17, bytes(8), fragment=185)) == ("udp", "203.0.113.20", 0)
    assert opening(ipv6(44, struct.pack("!BBHI", 17, 0, 185 << 3, 1) + bytes(8))) == (
        "udp",
        "2001:db8::2",
        0,
    )


def test_options_before_the_payload_are_skipped() -> None:
    assert opening(ipv6(0, bytes([17, 0]) + bytes(6) + UDP)) == ("udp", "2001:db8::2", 53)


@pytest.mark.parametrize(("kind", "counts"), [(8, True), (0, False), (3, False), (11, False)])
def test_of_icmp_only_questions_count(kind: int, counts: bool) -> None:  # noqa: FBT001
    assert (opening(ipv4(1, bytes([kind]) + bytes(7))) is not None) == counts


@pytest.mark.parametrize("kind", [133, 134, 135, 136, 143])
def test_what_links_say_by_themselves_does_not_count(kind: int) -> None:
    assert opening(ipv6(58, bytes([kind]) + bytes(7))) is None


def test_unknown_protocol_counts_by_its_number() -> None:
    assert opening(ipv4(47, bytes(8))) == ("47", "203.0.113.20", 0)


def test_nothing_is_read_from_what_is_no_ip_packet() -> None:
    assert opening(b"") is None
    assert opening(b"\x00" * 40) is None
