"""Runs `ringfence attack` against the embedded cluster: for `make attack` and for the tests.

The stand-in internet gets listeners where an unfenced Pod would find some: HTTP at an outside
address, and a metadata endpoint. Without them, silence would prove nothing.

Node 1 has no AppArmor, so the rows about AppArmor are run on node 2.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import on_node_2
import product
import support
from cluster import ClusterError, config
from cluster.progress import Progress
from ringfence.attack.rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster import Cluster

NAMESPACE = "attack"
TARGET = config.WORLD_INDEX  # the package index answers on its port 443
METADATA = "169.254.169.254"
RINGFENCE = Path(sys.executable).with_name("ringfence")
_LISTEN = """
import socket, sys, threading
def serve(address, port):
    server = socket.create_server((address, port))
    while True:
        server.accept()[0].close()
def echo(address, port):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, port))
    while True:
        server.sendto(*server.recvfrom(4096))
target, metadata = sys.argv[1:]
for work, *place in ((serve, target, 80), (serve, metadata, 80), (echo, target, 443)):
    threading.Thread(target=work, args=place, daemon=True).start()
print("listening", flush=True)
sys.stdin.read()
"""


@contextmanager
def open_world(cluster: Cluster) -> Iterator[None]:
    """Lets something answer outside of the cluster."""
    place = ("address", "replace", f"{METADATA}/32", "dev", "lo")
    cluster.world_exec("ip", *place)
    argv = cluster.world_argv(sys.executable, "-c", _LISTEN, TARGET, METADATA)
    server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert server.stdout
        if not server.stdout.readline():
            message = "nothing listens in the stand-in internet"
            raise ClusterError(message)
        yield
    finally:
        server.kill()
        server.communicate()
        with suppress(ClusterError):
            cluster.world_exec("ip", "address", "del", f"{METADATA}/32", "dev", "lo")


def argv(cluster: Cluster, namespace: str, *arguments: str) -> list[str]:
    """Command line of an attack."""
    access = ("--kubeconfig", str(cluster.kubeconfig), "--namespace", namespace)
    return [str(RINGFENCE), "attack", *access, *arguments]


def main() -> int:
    """`make attack`: brings everything up and shows both tables; the worse exit code."""
    progress = Progress()
    wanted = sys.argv[1:]
    try:
        cluster = product.up(progress)
        _make_namespace(cluster)
        with open_world(cluster):
            code = _attack(cluster, progress, *wanted)
            return code if wanted else max(code, _attack_on_node_2(cluster, progress))
    except ClusterError as error:
        progress.note(f"[red]{error}[/]")
        return 3
    finally:
        progress.note(f"Everything took {progress.elapsed:.0f} s; `make down` removes the cluster.")


def _attack(cluster: Cluster, progress: Progress, *arguments: str) -> int:
    command = argv(cluster, NAMESPACE, "--target", TARGET, *arguments)
    progress.note(f"$ {' '.join(command)}")
    return subprocess.run(command, check=False).returncode


def _attack_on_node_2(cluster: Cluster, progress: Progress) -> int:
    """The rows that mean nothing without AppArmor, where there is AppArmor."""
    progress.note(f"{config.NODE_NAME} has no AppArmor; the rows about it run on a virtual machine")
    started = cluster.start_node_2()
    try:
        support.apply(cluster, on_node_2.sandbox_class(cluster))
        rows = [word for row in ROWS if row.needs_app_armor for word in ("--row", row.name)]
        patience = ("--ready-seconds", str(on_node_2.SECONDS))
        return _attack(cluster, progress, "--class", on_node_2.CLASS, *patience, *rows)
    finally:
        cluster.kubectl("delete", "sandboxclass", on_node_2.CLASS, "--ignore-not-found")
        if started:
            cluster.stop_node_2()


def _make_namespace(cluster: Cluster) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    with suppress(ClusterError):  # it may be there
        cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("label", "namespace", NAMESPACE, label, "--overwrite")


if __name__ == "__main__":
    sys.exit(main())
