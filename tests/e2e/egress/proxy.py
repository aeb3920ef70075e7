"""The real Envoy with the operator's configuration, alone in a namespace, and a client of it.

The configuration directory is laid out and updated exactly as the kubelet does for a ConfigMap
volume. It must not add a setting of its own: what is tested is what a Pod gets.
"""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egress.netns import inside
from ringfence.api import EgressRule
from ringfence.policy import Identity
from ringfence.resources.egress import (
    PROXY_ADDRESS,
    PROXY_PORT,
    envoy_args,
    envoy_files,
)
from ringfence.resources.envoy_bedrock import Paths


def envoy_binary() -> str:
    """Return the real Envoy: the one of the test dependencies."""
    return str(Path(sys.executable).with_name("envoy"))


def write_config_map(directory: Path, files: dict[str, str]) -> None:
    """Publish files in a directory as the kubelet does: a new `..data` swapped in by rename."""
    version = directory / f"..{time.monotonic_ns()}"
    version.mkdir()
    for name, text in files.items():
        (version / name).write_text(text)
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
    old = (directory / "..data").resolve() if (directory / "..data").exists() else None
    (directory / "..data_tmp").symlink_to(version.name)
    (directory / "..data_tmp").rename(directory / "..data")
    if old:
        shutil.rmtree(old)


@dataclass
class Reply:
    """Answer to one request to the proxy; `tunnel` is open exactly when the status is 200."""

    status: int
    reason: str
    headers: dict[str, str]
    body: str
    tunnel: socket.socket


@dataclass
class Proxy:
    """A running proxy and what is needed to change, ask and measure it."""

    netns: str
    directory: Path
    process: subprocess.Popen[bytes]
    log_path: Path

    def stop(self) -> None:
        """End the proxy."""
        self.process.terminate()
        self.process.wait()

    def restart(self) -> None:
        """End it and start it anew with the files that are there now."""
        self.stop()
        self.process = _start(self.netns, self.directory, self.log_path)
        _wait_until_ready(self, seconds=15)

    def allow(self, rules: Sequence[EgressRule]) -> None:
        """Change the allowlist of the running proxy."""
        files = envoy_files(rules, resolver="127.0.0.1", directory=str(self.directory))
        write_config_map(self.directory, files)

    def dial(self, port: int = PROXY_PORT) -> socket.socket:
        """Open a connection to the proxy."""
        with inside(self.netns):
            return socket.create_connection((PROXY_ADDRESS, port), timeout=8)

    def ask(self, request: bytes, port: int = PROXY_PORT) -> Reply:
        """Send raw bytes as a request and read the answer."""
        with ExitStack() as stack:
            connection = stack.enter_context(self.dial(port))
            connection.sendall(request)
            reply = _read_reply(connection)
            if reply.status == 200:
                stack.pop_all()
            return reply

    def connect(self, target: str) -> Reply:
        """Ask for a tunnel."""
        return self.ask(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("latin-1"))

    def status(self, target: str) -> int:
        """Ask for a tunnel, close it again, and return the answer's status."""
        reply = self.connect(target)
        reply.tunnel.close()
        return reply.status

    def get(self, host: str, context: ssl.SSLContext, *, sni: str = "", port: int = 443) -> str:
        """Fetch `/` from an HTTPS server through a tunnel; raises OSError where it is refused."""
        reply = self.connect(f"{host}:{port}")
        if reply.status != 200:
            message = f"proxy answered {reply.status}: {reply.body}"
            raise PermissionError(message)
        with reply.tunnel, context.wrap_socket(reply.tunnel, server_hostname=sni or host) as secure:
            secure.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            return _read_all(secure).decode()

    def rss_mib(self) -> float:
        """Return the proxy's resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def inotify_instances(self) -> int:
        """Count the inotify instances that the proxy holds."""
        descriptors = Path(f"/proc/{self.process.pid}/fd").iterdir()
        return sum(str(entry.readlink()) == "anon_inode:inotify" for entry in descriptors)

    def log(self) -> list[dict[str, Any]]:
        """Return the access log so far."""
        lines = self.log_path.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def _read_reply(connection: socket.socket) -> Reply:
    head, _, rest = _read_head(connection).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    status, _, reason = first.partition(" ")[2].partition(" ")
    headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines)}
    if status != "200":
        rest += _read_exactly(connection, int(headers.get("content-length", 0)) - len(rest))
    return Reply(int(status or 0), reason, headers, rest.decode("latin-1"), connection)


def _read_head(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(4096)
        if not chunk:
            break
        data += chunk
    return data


def _read_exactly(connection: socket.socket, need: int) -> bytes:
    data = b""
    while len(data) < need and (chunk := connection.recv(4096)):
        data += chunk
    return data


def _read_all(connection: socket.socket) -> bytes:
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    return data


def _wait_until_ready(proxy: Proxy, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            proxy.dial().close()
        except OSError as error:
            if time.monotonic() > end or proxy.process.poll() is not None:
                log = proxy.log_path.read_text()[-2000:]
                message = f"envoy does not accept on {PROXY_ADDRESS}:{PROXY_PORT}: {log}"
                raise RuntimeError(message) from error
            time.sleep(0.005)
        else:
            return


@contextmanager
def running(
    netns: str,
    directory: Path,
    rules: Sequence[EgressRule],
    identity: Identity | None = None,
    paths: Paths | None = None,
) -> Iterator[Proxy]:
    """Run Envoy in a namespace with this allowlist and identity until the block ends."""
    config = directory / "config"
    config.mkdir()
    files = envoy_files(
        rules,
        resolver="127.0.0.1",
        directory=str(config),
        identity=identity,
        paths=paths or Paths(),
    )
    write_config_map(config, files)
    log_path = directory / "log"
    proxy = Proxy(netns, config, _start(netns, config, log_path), log_path)
    try:
        _wait_until_ready(proxy, seconds=15)
        yield proxy
    finally:
        proxy.stop()


def _start(netns: str, config: Path, log_path: Path) -> subprocess.Popen[bytes]:
    command = ["ip", "netns", "exec", netns, envoy_binary(), *envoy_args(str(config))[1:]]
    with log_path.open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
