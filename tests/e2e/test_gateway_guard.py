"""The guard of gateway mode in the built proxy image: what it waits for, and what it says in vain.

Everything that answers, or does not, is on the loopback of a network namespace of its own.
"""

import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import image_box
from image_box import Box
from images import build

pytestmark = pytest.mark.timeout(900)  # a machine that builds the image for the first time

UID = 31234
GATEWAY, RESOLVER, API_SERVER, NODE = (f"10.9.9.{n}" for n in range(1, 5))
LIMIT = "sys/fs/cgroup/pids.max"
_SERVE = """
import socket, sys, threading, time
def tcp(place):
    server = socket.create_server(place)
    while True:
        server.accept()[0].close()
def udp(place):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(place)
    while True:
        query, client = server.recvfrom(512)
        server.sendto(query[:2] + bytes([query[2] | 0x80, 0x85]) + query[4:], client)
for word in sys.argv[1:]:
    kind, address, port = word.split(",")
    serve = {"tcp": tcp, "udp": udp}[kind]
    threading.Thread(target=serve, args=((address, int(port)),), daemon=True).start()
time.sleep(90)
"""


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    """The proxy image, unpacked."""
    with tempfile.TemporaryDirectory(prefix="ringfence-guard-") as directory:
        yield image_box.unpack(build.build("proxy"), Path(directory) / "proxy")


def serve(*places: str, after: float = 0) -> str:
    """Shell that lets something answer at these places, after some seconds."""
    command = shlex.join([sys.executable, "-c", _SERVE, *places])
    return f"(sleep {after}; exec {command}) &"


def limit(value: str) -> str:
    """A stand-in for the container's control group, as the node agent leaves it."""
    path = f'"$root/{LIMIT}"'
    return (
        f'mount -t tmpfs tmpfs "$root/sys"; mkdir -p "$root/sys/fs/cgroup"; echo {value} >{path};'
    )


def guard(
    box: Box, before: str, *, patience: int = 3, options: tuple[str, ...] = ()
) -> tuple[int, str, float]:
    """Exit code, words and seconds of the guard."""
    addresses = (f"ip address add {a}/32 dev lo;" for a in (GATEWAY, RESOLVER, API_SERVER, NODE))
    environment = [
        f"KUBERNETES_SERVICE_HOST={API_SERVER}",
        "KUBERNETES_SERVICE_PORT=443",
        f"RINGFENCE_NODE_ADDRESS={NODE}",
    ]
    program = ["/usr/local/bin/wait-for-gateway", *options, str(patience), GATEWAY, RESOLVER]
    begun = time.monotonic()
    argv = ["/bin/busybox", "env", *environment, *program]
    done = box.run(UID, argv, "".join(addresses) + before, 120)
    return done.returncode, done.stdout.strip(), time.monotonic() - begun


OPEN_GATEWAY = f"tcp,{GATEWAY},3128"


def test_it_ends_well_where_only_the_gateway_answers(box: Box) -> None:
    code, said, seconds = guard(box, limit("128") + serve(OPEN_GATEWAY))
    assert (code, said) == (0, "")
    assert seconds < 3


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (f"tcp,{API_SERVER},443", f"the API server ({API_SERVER}:443)"),
        (f"tcp,{NODE},10250", f"the node's kubelet ({NODE}:10250)"),
        (f"tcp,{RESOLVER},53", f"the cluster's DNS by TCP ({RESOLVER}:53)"),
        (f"udp,{RESOLVER},53", f"the cluster's DNS by UDP ({RESOLVER}:53)"),
    ],
)
def test_it_gives_up_while_anything_else_answers_and_names_it(
    box: Box, place: str, words: str
) -> None:
    code, said, seconds = guard(box, limit("128") + serve(OPEN_GATEWAY, place))
    assert code == 1
    assert said.startswith(f"NetworkNotFenced: the Pod reaches {words},")
    assert 3 <= seconds < 10


def test_it_gives_up_on_a_gateway_that_does_not_answer(box: Box) -> None:
    code, said, _ = guard(box, limit("128"))
    assert code == 1
    assert said.startswith(f"NetworkNotFenced: the egress gateway ({GATEWAY}:3128)")


def test_it_waits_for_a_gateway_that_comes_late(box: Box) -> None:
    code, said, seconds = guard(box, limit("128") + serve(OPEN_GATEWAY, after=2), patience=20)
    assert code == 0, said
    assert 2 <= seconds < 8


def test_it_waits_for_the_node_agent_first(box: Box) -> None:
    code, said, _ = guard(box, limit("max") + serve(OPEN_GATEWAY))
    assert code == 1
    assert said.startswith("NodeAgentNotReady:")


def test_it_does_not_ask_for_limits_under_another_runtime(box: Box) -> None:
    before = limit("max") + serve(OPEN_GATEWAY)
    code, said, _ = guard(box, before, options=("--without-limits",))
    assert code == 0, said


def test_it_gives_up_where_it_is_not_told_what_to_try(box: Box) -> None:
    argv = ["/usr/local/bin/wait-for-gateway", "3", "", RESOLVER]
    done = box.run(UID, argv, limit("128"))
    assert done.returncode == 1
    assert done.stdout.startswith("NetworkNotFenced: the guard was not told every address")
