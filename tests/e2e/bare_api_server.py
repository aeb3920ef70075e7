"""A throw-away API server with its etcd on loopback: the real admission, no nodes, no controllers.

Tests of installing, upgrading and removing use it, since they would take the operator away from
every other test of the cluster. It keeps nothing: its directory goes with it.
"""

import contextlib
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cluster import ClusterError, config, processes
from cluster.shell import failure_message, wait_until

Json = dict[str, Any]

_TOKEN: Final = "not-a-secret-of-anybody"  # noqa: S105 - loopback only, gone after the test
_START_SECONDS: Final = 60.0
_COMMAND_SECONDS: Final = 60.0


class BareApiServer:
    """Runs kubectl and Helm against one API server."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.helm_name = "helm"
        self._bin = config.default_paths().bin

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """What kubectl prints; raises with what it complains about."""
        return self._run(self._bin / "kubectl", *words, stdin=stdin)

    def helm(self, *words: str | Path) -> str:
        """What Helm prints; raises with what it complains about."""
        return self._run(self._bin / self.helm_name, *words)

    def get(self, *words: str) -> Json:
        """An object as JSON."""
        found: Json = json.loads(self.kubectl("get", *words, "-o", "json"))
        return found

    def create(self, obj: Json, *flags: str) -> str:
        """Creates an object; `flags` may name another user (--as=...)."""
        return self.kubectl("create", "-f", "-", *flags, stdin=json.dumps(obj))

    def _run(self, *words: str | Path, stdin: str | None = None) -> str:
        argv = [str(word) for word in (words[0], "--kubeconfig", self.kubeconfig, *words[1:])]
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )
        if done.returncode:
            raise ClusterError(failure_message(argv, done))
        return done.stdout


@contextlib.contextmanager
def bare_api_server(directory: Path) -> Iterator[BareApiServer]:
    """The server, up; its processes are ended in every case."""
    ports = _free_ports(3)
    started: list[processes.Process] = []
    try:
        started.append(_start_etcd(directory, ports))
        started.append(_start_api_server(directory, ports))
        server = BareApiServer(_kubeconfig(directory, ports[2]))
        wait_until("the API server", lambda: _is_ready(server), _START_SECONDS)
        yield server
    finally:
        for process in reversed(started):
            processes.stop(process)


def _free_ports(count: int) -> list[int]:
    """Ports that nobody uses now, all different, as all are held at once."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _kube() -> str:
    return str(config.default_paths().bin / "kube")


def _start_etcd(directory: Path, ports: list[int]) -> processes.Process:
    client, peer = (f"http://127.0.0.1:{port}" for port in ports[:2])
    argv = [_kube(), "etcd", f"--data-dir={directory / 'etcd'}", "--unsafe-no-fsync"]
    argv += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
    argv += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
    argv += [f"--initial-cluster=default={peer}"]
    return processes.start(argv, directory / "etcd.log")


def _start_api_server(directory: Path, ports: list[int]) -> processes.Process:
    key, tokens = directory / "sa.key", directory / "tokens.csv"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    tokens.write_text(f'{_TOKEN},admin,1,"system:masters"\n')
    argv = [_kube(), "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{ports[0]}"]
    argv += ["--bind-address=127.0.0.1", f"--secure-port={ports[2]}"]
    argv += [f"--cert-dir={directory / 'certs'}", f"--token-auth-file={tokens}"]
    argv += [f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"]
    argv += [
        "--service-account-issuer=https://kubernetes.default.svc",
        "--endpoint-reconciler-type=none",
    ]
    argv += ["--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC"]
    # Nothing makes the ServiceAccount `default` here, which the plug-in would insist on.
    argv += ["--disable-admission-plugins=ServiceAccount"]
    return processes.start(argv, directory / "apiserver.log")


def _kubeconfig(directory: Path, port: int) -> Path:
    path = directory / "kubeconfig"
    server = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bare", "cluster": server}],
        "users": [{"name": "admin", "user": {"token": _TOKEN}}],
        "contexts": [{"name": "bare", "context": {"cluster": "bare", "user": "admin"}}],
        "current-context": "bare",
    }
    path.write_text(json.dumps(body))
    return path


def _is_ready(server: BareApiServer) -> bool:
    try:
        return server.kubectl("get", "--raw", "/readyz") == "ok"
    except ClusterError:
        return False
