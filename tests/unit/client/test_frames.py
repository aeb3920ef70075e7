"""Frames of a WebSocket, and what a kubeconfig's address means."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.client.ending import CUT_OFF, ending
from ringfence.client.frames import LONGEST, Opcode, Parser, ProtocolError, encode
from ringfence.client.urls import Server, quoted, server


def _unmasked(frame: bytes) -> bytes:
    """As the server would have sent it."""
    length = frame[1] & 0x7F
    extra = {126: 2, 127: 8}.get(length, 0)
    mask, payload = frame[2 + extra : 6 + extra], frame[6 + extra :]
    plain = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([frame[0], length]) + frame[2 : 2 + extra] + plain


@pytest.mark.parametrize("length", [0, 1, 3, 125, 126, 65_535, 65_536, 70_001])
def test_what_is_encoded_is_understood(length: int) -> None:
    payload = os.urandom(length)
    frame = encode(Opcode.BINARY, payload, b"\x01\x02\x03\x04")
    assert frame[0] == 0x82
    assert frame[1] & 0x80
    assert Parser().feed(_unmasked(frame)) == [(Opcode.BINARY, payload)]


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_frames_may_come_in_pieces(payloads: list[bytes], size: int) -> None:
    stream = b"".join(_unmasked(encode(Opcode.TEXT, p, b"abcd")) for p in payloads)
    parser, found = Parser(), []
    for start in range(0, len(stream), size):
        found += parser.feed(stream[start : start + size])
    assert [frame.payload for frame in found] == payloads


@pytest.mark.parametrize(
    "data",
    [
        encode(Opcode.BINARY, b"masked", b"abcd"),
        b"\xc2\x00",
        b"\x83\x00",
        b"\x82\x7f" + (LONGEST + 1).to_bytes(8),
    ],
)
def test_what_is_no_frame_of_a_server_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Parser().feed(data)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://a.b", Server(secure=True, host="a.b", port=443, path="")),
        ("HTTP://a:80/", Server(secure=False, host="a", port=80, path="")),
        ("https://[fd00::1]:6443", Server(secure=True, host="fd00::1", port=6443, path="")),
        ("https://a/k8s/c-1/?x#y", Server(secure=True, host="a", port=443, path="/k8s/c-1")),
    ],
)
def test_address_of_a_server(url: str, found: Server) -> None:
    assert server(url) == found


def test_value_of_a_query_is_quoted() -> None:
    assert quoted("a b&c=ü/\n") == "a%20b%26c%3D%C3%BC%2F%0A"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", (None, CUT_OFF)),
        ("nonsense", (None, "nonsense")),
        ('{"status": "Success"}', (0, "")),
        ('{"status": "Failure", "message": "no"}', (None, "no")),
    ],
)
def test_ending_of_a_command(text: str, found: tuple[int | None, str]) -> None:
    assert ending(text) == found
