"""The packet filter of a Pod on a real kernel, as the node agent installs it; no cluster needed.

The same attempts are made without it, so that each refusal is the filter's doing.
"""

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from egress import netns
from egress.pod_network import (
    AGENT_UID,
    GATEWAY,
    POD,
    PRIVATE,
    PROXY_UID,
    PUBLIC,
    RESOLVER,
    PodNetwork,
    accepted,
    pod_network,
)
from ringfence.node import fence, packet_filter
from ringfence.node.packet_filter import PacketFilter, PacketFilterError
from ringfence.node.pods import Fence

FENCE = Fence(RESOLVER, frozenset({443}))
OPERATOR = Path(__file__).resolve().parents[2] / "operator"
WAYS = [
    ("tcp", PUBLIC, 443),
    ("tcp", PUBLIC, 80),
    ("tcp", PRIVATE, 443),
    ("tcp", RESOLVER, 53),
    ("tcp", GATEWAY, 443),
    ("udp", PUBLIC, 443),
    ("udp", RESOLVER, 53),
    ("icmp", GATEWAY, 0),
]


@pytest.fixture
def network() -> Iterator[PodNetwork]:
    with pod_network() as made:
        yield made


def _opened(network: PodNetwork) -> PacketFilter:
    """As the node agent opens it: by a process in the namespace."""
    with network.process() as pid:
        deadline = time.monotonic() + 5
        wanted = f"net:[{(netns.RUN_NETNS / network.pod).stat().st_ino}]"
        while (found := packet_filter.opened(pid, wanted)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return found


@pytest.fixture
def filter_(network: PodNetwork) -> Iterator[PacketFilter]:
    opened = _opened(network)
    opened.install(fence.ruleset(FENCE))
    yield opened
    opened.close()


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_without_the_filter_the_agent_gets_out(
    network: PodNetwork, way: tuple[str, str, int]
) -> None:
    kind, address, port = way
    places = [(address, port)] if kind == "tcp" else []
    with network.listening(*places):
        assert network.attempt(AGENT_UID, *way) in {"open", "silent", "ECONNREFUSED"}


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.usefixtures("filter_")
def test_agent_is_refused_at_once_whatever_it_tries(
    network: PodNetwork, way: tuple[str, str, int]
) -> None:
    assert network.attempt(AGENT_UID, *way) in {"EHOSTUNREACH", "EPERM"}


@pytest.mark.usefixtures("filter_")
def test_proxy_reaches_public_addresses_on_its_ports_and_nothing_else(network: PodNetwork) -> None:
    with network.listening((PUBLIC, 443), (PUBLIC, 80), (PRIVATE, 443)) as (good, *bad):
        assert network.attempt(PROXY_UID, "tcp", PUBLIC, 443) == "open"
        assert network.attempt(PROXY_UID, "tcp", PUBLIC, 80) == "EHOSTUNREACH"
        assert network.attempt(PROXY_UID, "tcp", PRIVATE, 443) == "EHOSTUNREACH"
        assert accepted(good)
        assert not any(accepted(server) for server in bad)


@pytest.mark.usefixtures("filter_")
def test_proxy_reaches_its_resolver_and_no_other_name_server(network: PodNetwork) -> None:
    assert network.attempt(PROXY_UID, "udp", RESOLVER, 53) == "ECONNREFUSED"  # nobody listens there
    with network.listening((RESOLVER, 53)):
        assert network.attempt(PROXY_UID, "tcp", RESOLVER, 53) == "open"
    assert network.attempt(PROXY_UID, "udp", PUBLIC, 53) == "EPERM"


_HEIR = """
import os, socket, sys, time
uid, kind, address = int(sys.argv[1]), *sys.argv[2:4]
port, source = map(int, sys.argv[4:])
os.setgroups([]); os.setgid(uid); os.setuid(uid)
made = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
made.bind(("10.244.9.2", source))
made.settimeout(1)
try:
    made.connect((address, port))
    made.send(b"x")
    if kind == "tcp":
        made.recv(1)
    print("open")
except ConnectionResetError:
    print("reset")
except OSError as error:
    print(error.strerror)
"""


def _from_port(network: PodNetwork, uid: int, *way: object) -> str:
    return network.run(sys.executable, "-I", "-S", "-c", _HEIR, *map(str, (uid, *way))).stdout


@pytest.mark.usefixtures("filter_")
def test_datagram_from_a_port_that_the_proxy_had_is_refused(network: PodNetwork) -> None:
    """The kernel remembers the proxy's question for half a minute after its socket has gone."""
    assert _from_port(network, PROXY_UID, "udp", RESOLVER, 53, 40001) == "open\n"
    assert "permitted" in _from_port(network, AGENT_UID, "udp", RESOLVER, 53, 40001)


@pytest.mark.usefixtures("filter_")
def test_connection_from_a_port_that_the_proxy_had_is_refused(network: PodNetwork) -> None:
    """A server that resets a connection leaves it remembered, and no socket in its way."""
    with network.listening((PUBLIC, 443)) as (server,):
        with _resetting(server):
            assert _from_port(network, PROXY_UID, "tcp", PUBLIC, 443, 40002) == "reset\n"
        assert _from_port(network, AGENT_UID, "tcp", PUBLIC, 443, 40002) == "No route to host\n"
        assert not accepted(server)


@contextmanager
def _resetting(server: socket.socket) -> Iterator[None]:
    """Ends the next connection by RST as soon as something was said."""

    def reset() -> None:
        connection, _ = server.accept()
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    thread = threading.Thread(target=reset)
    thread.start()
    yield
    thread.join()


@pytest.mark.usefixtures("filter_")
def test_nothing_comes_in_from_outside(network: PodNetwork) -> None:
    with netns.inside(network.pod):
        server = socket.create_server((POD, 8000))
    with server, netns.inside(network.world):
        client = socket.socket()
        client.settimeout(0.5)
        with client, pytest.raises(TimeoutError):
            client.connect((POD, 8000))


@pytest.mark.usefixtures("filter_")
def test_root_and_unknown_users_are_refused_as_well(network: PodNetwork) -> None:
    for uid in (0, 65534, 12345):
        assert network.attempt(uid, "tcp", PUBLIC, 443) == "EHOSTUNREACH"


@pytest.mark.usefixtures("filter_")
def test_loopback_stays_the_agents_own(network: PodNetwork) -> None:
    with netns.inside(network.pod):
        server = socket.create_server(("127.0.0.1", 8000))
    with server:
        assert network.attempt(AGENT_UID, "tcp", "127.0.0.1", 8000) == "open"
    assert network.attempt(AGENT_UID, "tcp", "::1", 8000) == "ECONNREFUSED"


def test_filter_says_where_packets_were_refused(network: PodNetwork, filter_: PacketFilter) -> None:
    assert filter_.refused_packets() == 0
    network.attempt(AGENT_UID, "tcp", PUBLIC, 80)
    network.attempt(AGENT_UID, "udp", RESOLVER, 53)
    assert filter_.refused_packets() == 2
    assert filter_.refused() == {
        fence.Destination(AGENT_UID, "tcp", PUBLIC, 80): 1,
        fence.Destination(AGENT_UID, "udp", RESOLVER, 53): 1,
    }


def test_flood_of_destinations_is_counted_to_the_last_packet(
    network: PodNetwork, filter_: PacketFilter
) -> None:
    flood = (
        "import os, socket, sys; os.setuid(30001)\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "for port in range(1, 2001):\n"
        f"    try: s.sendto(b'x', ({PUBLIC!r}, port))\n"
        "    except PermissionError: pass\n"
    )
    assert network.run(sys.executable, "-I", "-S", "-c", flood).returncode == 0
    assert filter_.refused_packets() == 2000
    assert len(filter_.refused()) == 512


def test_change_by_another_hand_is_noticed_and_undone(
    network: PodNetwork, filter_: PacketFilter
) -> None:
    assert filter_.is_intact()
    network.run("nft", "delete", "table", "inet", "ringfence").check_returncode()
    assert not filter_.is_intact()
    with network.listening((PUBLIC, 443)):
        assert network.attempt(AGENT_UID, "tcp", PUBLIC, 443) == "open"
        filter_.install(fence.ruleset(FENCE))
        assert filter_.is_intact()
        assert network.attempt(AGENT_UID, "tcp", PUBLIC, 443) == "EHOSTUNREACH"


def test_refused_rules_leave_the_old_ones_in_force(
    network: PodNetwork, filter_: PacketFilter
) -> None:
    with pytest.raises(PacketFilterError, match="syntax error"):
        filter_.install(fence.ruleset(FENCE).replace("policy drop", "policy nonsense"))
    assert network.attempt(AGENT_UID, "tcp", PUBLIC, 443) == "EHOSTUNREACH"


_GUARD = """
import encodings.idna, os, sys
sys.path.insert(0, sys.argv[1])
from ringfence import guard
uid, arguments = int(sys.argv[2]), guard.parse(sys.argv[3:])
os.setgid(uid)
os.setuid(uid)
sys.exit(guard.prove(arguments))
"""


def _guard(network: PodNetwork, port: int, *, uid: int = AGENT_UID) -> tuple[int, str]:
    """Its exit code and last words; it is imported as root, which may read everything."""
    arguments = ["--proxy", f"127.0.0.1:{port}", "--resolver", RESOLVER, "--seconds", "0.5"]
    done = network.run(sys.executable, "-c", _GUARD, str(OPERATOR), str(uid), *arguments)
    return done.returncode, done.stderr


_PROXY = """
import socket, sys
server = socket.create_server(("127.0.0.1", 3128))
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    connection.recv(999)
    connection.sendall(sys.argv[1].encode() + b"\\r\\n\\r\\n")
    connection.close()
"""


@pytest.fixture
def proxy(network: PodNetwork, request: pytest.FixtureRequest) -> Iterator[None]:
    answer = getattr(request, "param", "HTTP/1.1 403 Forbidden")
    argv = ["nsenter", f"--net={netns.RUN_NETNS / network.pod}", "--", sys.executable, "-c", _PROXY]
    with subprocess.Popen([*argv, answer], stdout=subprocess.PIPE) as running:
        assert running.stdout
        running.stdout.readline()
        yield
        running.kill()


@pytest.mark.usefixtures("filter_", "proxy")
def test_guard_lets_the_pod_go_on_when_everything_is_closed(network: PodNetwork) -> None:
    assert _guard(network, 3128) == (0, "")


@pytest.mark.usefixtures("proxy")
def test_guard_holds_the_pod_back_without_the_filter(network: PodNetwork) -> None:
    code, said = _guard(network, 3128)
    assert code == 1
    assert said.startswith("NetworkNotFenced: TCP 192.0.2.1:443")


@pytest.mark.usefixtures("filter_", "proxy")
def test_guard_proves_nothing_for_the_uid_of_the_proxy(network: PodNetwork) -> None:
    code, said = _guard(network, 3128, uid=PROXY_UID)
    assert code == 1
    assert "203.0.113.1:443" in said


@pytest.mark.usefixtures("filter_")
def test_guard_waits_for_the_proxy_to_answer(network: PodNetwork) -> None:
    code, said = _guard(network, 3128)
    assert code == 1
    assert "does not answer" in said


@pytest.mark.parametrize("proxy", ["HTTP/1.1 200 OK"], indirect=True)
@pytest.mark.usefixtures("filter_", "proxy")
def test_guard_refuses_a_proxy_that_lets_everything_through(network: PodNetwork) -> None:
    code, said = _guard(network, 3128)
    assert code == 1
    assert "answers an unlisted host with" in said


@pytest.mark.parametrize(
    "rule",
    ["drop", "reject", "ip daddr != 192.0.2.1 accept", "meta l4proto udp accept"],
)
@pytest.mark.usefixtures("proxy")
def test_guard_is_not_convinced_by_other_filters(network: PodNetwork, rule: str) -> None:
    """Silence, refusals of another kind, and filters with a hole."""
    verdict = "reject with icmpx admin-prohibited" if "accept" in rule else ""
    rules = f"type filter hook output priority 0; oif lo accept; {rule}; {verdict};"
    table = f"table inet other {{ chain o {{ {rules} }}; }}"
    loaded = network.run("nft", table)
    assert loaded.returncode == 0, loaded.stderr
    assert _guard(network, 3128)[0] == 1
