"""The egress proxy lets out what is on the allowlist and nothing else.

The real Envoy with the operator's own configuration, in a namespace that holds a small internet:
a DNS server that may lie, and TLS servers on a public and on a private address. No Kubernetes.
"""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from egress.world import (
    ALLOWED,
    LYING,
    MESSAGE,
    OTHER,
    PROMPT,
    PUBLIC,
    REASON,
    ZONE,
    World,
    answer_in_tunnel,
    client_hello,
    open_tunnel,
    small_internet,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with small_internet(tmp_path_factory.mktemp("egress")) as running:
        yield running


# --- what is allowed -----------------------------------------------------------------------


def test_an_allowed_host_is_reached_and_its_certificate_is_the_servers_own(world: World) -> None:
    assert f"hello from {ALLOWED}" in world.proxy.get(ALLOWED, world.trust)


def test_a_second_port_is_open_only_where_a_rule_says_so(world: World) -> None:
    assert "hello" in world.proxy.get(ALLOWED, world.trust, port=8443)
    assert world.proxy.status("a.suffix.test:8443") == 403


def test_a_suffix_rule_matches_names_below_it_only(world: World) -> None:
    assert "hello from a.suffix.test" in world.proxy.get("a.suffix.test", world.trust)
    assert world.proxy.status("suffix.test:443") == 403
    assert world.proxy.status("asuffix.test:443") == 403


def test_a_tunnel_may_be_asked_for_as_old_pythons_do(world: World) -> None:
    reply = world.proxy.ask(f"CONNECT {ALLOWED}:443 HTTP/1.0\r\n\r\n".encode())
    assert reply.status == 200
    with world.trust.wrap_socket(reply.tunnel, server_hostname=ALLOWED) as secure:
        secure.sendall(f"GET / HTTP/1.1\r\nHost: {ALLOWED}\r\n\r\n".encode())
        assert secure.recv(12) == b"HTTP/1.1 200"


def test_forty_tunnels_at_once_are_all_served(world: World) -> None:
    answers: list[str] = []
    fetch = lambda: answers.append(world.proxy.get(ALLOWED, world.trust))  # noqa: E731
    threads = [threading.Thread(target=fetch) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("hello" in answer for answer in answers) == 40


# --- requests that are refused -------------------------------------------------------------


def test_a_host_that_is_not_listed_is_refused_at_once_with_a_message_that_says_why(
    world: World,
) -> None:
    start = time.monotonic()
    reply = world.proxy.connect(f"{OTHER}:443")
    assert time.monotonic() - start < PROMPT
    assert (reply.status, reply.reason) == (403, REASON)
    assert "spec.egress.allow" in reply.body
    assert reply.headers["x-ringfence-refused"] == f"host {OTHER}:443 {MESSAGE}"
    assert OTHER not in world.asked


def test_a_thousand_refusals_all_give_the_reason(world: World) -> None:
    replies = [world.proxy.connect(f"o{n}.example.test:443") for n in range(1000)]
    assert {(reply.status, reply.reason) for reply in replies} == {(403, REASON)}


TARGETS = {
    "address": f"{PUBLIC}:443",
    "address, decimal": "3405803786:443",
    "address, hexadecimal": "0xcb00710a:443",
    "address, octal": "0313.0.0161.012:443",
    "address, short": "127.1:443",
    "address, IPv6": "[::1]:443",
    "address, IPv4 in IPv6": f"[::ffff:{PUBLIC}]:443",
    "address, bracketed": f"[{PUBLIC}]:443",
    "proxy itself": "127.0.0.1:3128",
    "no port": ALLOWED,
    "empty port": f"{ALLOWED}:",
    "plain HTTP port": f"{ALLOWED}:80",
    "ssh port": f"{ALLOWED}:22",
    "port with a zero": f"{ALLOWED}:0443",
    "port out of range": f"{ALLOWED}:65979",
    "two ports": f"{ALLOWED}:443:443",
    "trailing dot": f"{ALLOWED}.:443",
    "leading dot": ".suffix.test:443",
    "double dot": "a..suffix.test:443",
    "user information": f"{ALLOWED}@{OTHER}:443",
    "user information, wildcard": f"{OTHER}:443@a.suffix.test:443",
    "NUL": f"{OTHER}\0.suffix.test:443",
    "encoded NUL": f"{OTHER}%00.suffix.test:443",
    "space": f"{OTHER} .suffix.test:443",
    "slash": f"{OTHER}/.suffix.test:443",
    "hash": f"{OTHER}#.suffix.test:443",
    "question mark": f"{OTHER}?.suffix.test:443",
    "backslash": f"{OTHER}\\.suffix.test:443",
    "not ASCII": "\uff41.suffix.test:443".encode().decode("latin-1"),
    "superscript address": "\xb9.suffix.test:443",
    "URL": f"https://{ALLOWED}:443/",
    "single label": "localhost:443",
    "empty": ":443",
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_no_spelling_of_a_target_opens_a_tunnel_unless_it_is_an_allowed_name(
    world: World, target: str
) -> None:
    before, start = world.dialled(), time.monotonic()
    reply = world.proxy.connect(target)
    assert reply.status in {400, 403, 404}
    assert time.monotonic() - start < PROMPT
    assert world.dialled() == before


REQUESTS = {
    "absolute GET": f"GET http://{ALLOWED}/ HTTP/1.1\r\nHost: {ALLOWED}\r\n\r\n",
    "absolute GET, https": f"GET https://{ALLOWED}/ HTTP/1.1\r\nHost: {ALLOWED}\r\n\r\n",
    "relative GET": f"GET / HTTP/1.1\r\nHost: {ALLOWED}\r\n\r\n",
    "relative GET, port": f"GET / HTTP/1.1\r\nHost: {ALLOWED}:443\r\n\r\n",
    "POST": f"POST http://{ALLOWED}/ HTTP/1.1\r\nHost: {ALLOWED}\r\nContent-Length: 1\r\n\r\nx",
    "admin": "POST /quitquitquit HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "upgrade": f"GET / HTTP/1.1\r\nHost: {ALLOWED}:443\r\nConnection: Upgrade\r\n"
    "Upgrade: CONNECT\r\n\r\n",
    "Host differs": f"CONNECT {OTHER}:443 HTTP/1.1\r\nHost: {ALLOWED}:443\r\n\r\n",
    "two Hosts": f"CONNECT {OTHER}:443 HTTP/1.1\r\nHost: {OTHER}:443\r\n"
    f"Host: {ALLOWED}:443\r\n\r\n",
    "length and chunked": f"CONNECT {OTHER}:443 HTTP/1.1\r\nHost: {OTHER}:443\r\n"
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "header of our own": f"CONNECT {OTHER}:443 HTTP/1.1\r\nHost: {OTHER}:443\r\n"
    f"x-envoy-original-dst-host: {PUBLIC}:443\r\nx-forwarded-host: {ALLOWED}:443\r\n\r\n",
    "HTTP/1.0": f"CONNECT {OTHER}:443 HTTP/1.0\r\n\r\n",
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "header too large": f"CONNECT {ALLOWED}:443 HTTP/1.1\r\nHost: {ALLOWED}:443\r\n"
    f"X: {'x' * 9000}\r\n\r\n",
    "too many headers": f"CONNECT {ALLOWED}:443 HTTP/1.1\r\nHost: {ALLOWED}:443\r\n"
    + "".join(f"X{n}: x\r\n" for n in range(40))
    + "\r\n",
    "SOCKS": "\x05\x01\x00\x05\x01\x00\x03",
}


@pytest.mark.parametrize("request_text", REQUESTS.values(), ids=REQUESTS)
def test_no_other_request_gets_anything_out(world: World, request_text: str) -> None:
    before, start = world.dialled(), time.monotonic()
    reply = world.proxy.ask(request_text.encode("latin-1"))
    assert reply.status not in range(100, 400)
    assert time.monotonic() - start < PROMPT
    assert world.dialled() == before


def test_plain_http_is_refused_with_a_message_that_names_the_allowlist(world: World) -> None:
    reply = world.proxy.ask(REQUESTS["absolute GET"].encode())
    assert reply.status == 403
    assert "only HTTPS, through CONNECT" in reply.body
    assert "spec.egress.allow" in reply.body


def test_a_request_head_that_never_ends_is_cut(world: World) -> None:
    with world.proxy.dial() as connection:
        connection.sendall(b"CONNECT ")
        start = time.monotonic()
        assert b" 408 " in connection.recv(4096)
        assert time.monotonic() - start < 7


def test_upper_case_is_refused_rather_than_guessed(world: World) -> None:
    assert world.proxy.status("Allowed.Example.TEST:443") == 403


# --- what flows inside a tunnel ------------------------------------------------------------


def in_two_records(hello: bytes) -> bytes:
    """Return the same handshake message split over two TLS records."""
    head, body = hello[:3], hello[5:]
    parts = body[:20], body[20:]
    return b"".join(head + len(part).to_bytes(2) + part for part in parts)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "another listed name": lambda: client_hello("a.suffix.test"),
    "a name not listed": lambda: client_hello(OTHER),
    "a name below it": lambda: client_hello(f"x.{ALLOWED}"),
    "trailing dot": lambda: client_hello(ALLOWED).replace(
        ALLOWED.encode(), b"allowed.example.tes."
    ),
    "NUL": lambda: client_hello(ALLOWED).replace(b"allowed.", b"allowed\0"),
    "no name": lambda: client_hello(None),
    "address as name": lambda: client_hello(PUBLIC),
    "two records": lambda: in_two_records(client_hello(OTHER)),
    "HTTP": f"GET / HTTP/1.1\r\nHost: {ALLOWED}\r\n\r\n".encode,
    "SSH": lambda: b"SSH-2.0-OpenSSH_9.2\r\n",
    "SMTP": lambda: b"EHLO example.test\r\n",
    "zeros": lambda: bytes(64),
    "SSLv2": lambda: b"\x80\x2e\x01\x00\x02" + bytes(43),
    "a record that is no hello": lambda: b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00",
    "a hello too large": lambda: b"\x16\x03\x01\x40\x00\x01\x00\xff\xff" + bytes(40000),
}


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE)
def test_a_tunnel_that_is_not_tls_to_its_own_target_is_cut(
    world: World, payload: Callable[[], bytes]
) -> None:
    before, start = world.dialled(), time.monotonic()
    assert answer_in_tunnel(world, payload()) == b""
    assert time.monotonic() - start < PROMPT
    assert world.dialled() == before


def test_a_name_under_the_same_suffix_rule_is_not_the_target_either(world: World) -> None:
    before = world.dialled()
    assert answer_in_tunnel(world, client_hello("b.suffix.test"), "a.suffix.test") == b""
    assert world.dialled() == before


def test_a_hello_in_single_bytes_is_judged_as_a_whole(world: World) -> None:
    assert answer_in_tunnel(world, client_hello(ALLOWED), step=1).startswith(b"\x16\x03")
    assert answer_in_tunnel(world, client_hello(OTHER), step=1) == b""


def test_a_tunnel_that_stays_silent_is_cut(world: World) -> None:
    reply = world.proxy.connect(f"{ALLOWED}:443")
    with reply.tunnel as tunnel:
        start = time.monotonic()
        assert tunnel.recv(1) == b""
        assert 1 < time.monotonic() - start < 7


# --- where a name leads --------------------------------------------------------------------


@pytest.mark.parametrize("host", LYING)
def test_an_allowed_name_that_leads_to_a_private_address_is_not_followed(
    world: World, host: str
) -> None:
    before = world.dialled()
    assert answer_in_tunnel(world, client_hello(host), host) == b""
    assert world.dialled() == before


def test_a_name_that_does_not_exist_fails_closed(world: World) -> None:
    start = time.monotonic()
    host = "missing.example.test"
    assert answer_in_tunnel(world, client_hello(host), host) == b""
    assert time.monotonic() - start < PROMPT


def test_names_are_asked_for_as_they_are_without_search_domains(world: World) -> None:
    world.proxy.get(ALLOWED, world.trust)
    assert {name.lower() for name in world.asked} <= {*ZONE, "missing.example.test"}


def test_two_open_tunnels_are_each_held_to_their_own_target(world: World) -> None:
    with open_tunnel(world, ALLOWED), open_tunnel(world, "a.suffix.test"):
        assert "hello from b.suffix.test" in world.proxy.get("b.suffix.test", world.trust)
        assert answer_in_tunnel(world, client_hello(ALLOWED), "b.suffix.test") == b""
