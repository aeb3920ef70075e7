"""A Pod's network without a Pod: a namespace with a way out, and what a uid can do in it.

Programs run in forked children with the wanted uid, so that the kernel sees real sockets of a
real user. Everything goes with the block.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from egress import netns

POD, GATEWAY, RESOLVER, PUBLIC, PRIVATE = (
    "10.244.9.2",
    "10.244.9.1",
    "10.96.0.10",
    "203.0.113.10",
    "10.9.9.9",
)
PROXY_UID, AGENT_UID = 10101, 30001

_TRY = """
import errno, json, os, socket, sys
uid, kind, address, port = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
os.setgroups([]); os.setgid(uid); os.setuid(uid)
family = socket.AF_INET6 if ":" in address else socket.AF_INET
types = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0),
         "icmp": (socket.SOCK_DGRAM, socket.IPPROTO_ICMP)}
with socket.socket(family, *types[kind]) as tried:
    tried.settimeout(1)
    try:
        tried.connect((address, port))
        if kind != "tcp":
            tried.send(b"\\x08\\0\\0\\0\\0\\0\\0\\0")
            tried.recv(9)
        print("open")
    except TimeoutError:
        print("silent")
    except OSError as error:
        print(errno.errorcode[error.errno])
"""


@dataclass(frozen=True)
class PodNetwork:
    """The namespace of the Pod and the one of the world around it."""

    pod: str
    world: str

    def attempt(self, uid: int, kind: str, address: str, port: int) -> str:
        """`open`, `silent`, or the name of the error that the attempt met."""
        program = [sys.executable, "-I", "-S", "-c", _TRY, str(uid), kind, address, str(port)]
        done = self.run(*program)
        return done.stdout.strip() or done.stderr

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Runs a program in the Pod's namespace."""
        inside = ["nsenter", f"--net={netns.RUN_NETNS / self.pod}", "--", *argv]
        return subprocess.run(inside, check=False, capture_output=True, text=True, timeout=30)

    @contextmanager
    def listening(self, *places: tuple[str, int]) -> Iterator[list[socket.socket]]:
        """TCP servers in the world; the kernel accepts for them."""
        with netns.inside(self.world):
            made = [socket.create_server(place) for place in places]
        try:
            yield made
        finally:
            for server in made:
                server.close()

    @contextmanager
    def process(self) -> Iterator[int]:
        """A process in the Pod's namespace, as the pause container is one; its pid."""
        argv = ["nsenter", f"--net={netns.RUN_NETNS / self.pod}", "--", "sleep", "60"]
        with subprocess.Popen(argv) as running:
            try:
                yield running.pid
            finally:
                running.kill()


def accepted(server: socket.socket) -> bool:
    """Whether anybody connected to it."""
    server.settimeout(0.2)
    try:
        server.accept()[0].close()
    except TimeoutError:
        return False
    return True


@contextmanager
def pod_network() -> Iterator[PodNetwork]:
    """Makes both namespaces; the world owns a resolver, a public and a private address."""
    names = PodNetwork(f"rf-pod-{os.getpid()}", f"rf-out-{os.getpid()}")
    owned = [f"{address}/32" for address in (RESOLVER, PUBLIC, PRIVATE)]
    with netns.namespace(names.pod, []), netns.namespace(names.world, owned):
        _connect(names)
        yield names


def _connect(names: PodNetwork) -> None:
    commands = [
        f"link add eth0 netns {names.pod} type veth peer name eth0 netns {names.world}",
        f"-n {names.pod} address add {POD}/24 dev eth0",
        f"-n {names.world} address add {GATEWAY}/24 dev eth0",
        f"-n {names.pod} link set eth0 up",
        f"-n {names.world} link set eth0 up",
        f"-n {names.pod} route add default via {GATEWAY}",
    ]
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)
    ranges = ["sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647"]
    names.run(*ranges).check_returncode()
