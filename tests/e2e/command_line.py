"""The command line `ringfence` as tests run it: the installed program, on the test cluster."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import support
from cluster import Cluster
from pods import fresh_namespace

PROGRAMS = Path(sys.executable).parent


class CommandLine:
    """Runs `ringfence` in one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    @property
    def environment(self) -> dict[str, str]:
        """As a user would have it: the kubeconfig, and kubectl and ringfence on the path."""
        path = f"{PROGRAMS}:{self.cluster.paths.bin}:{os.environ['PATH']}"
        return {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig), "PATH": path}

    def argv(self, command: str, *arguments: str) -> list[str]:
        """Argv of a command in the namespace."""
        return [str(PROGRAMS / "ringfence"), command, "--namespace", self.namespace, *arguments]

    def run(
        self, command: str, *arguments: str, stdin: bytes = b"", seconds: float = 100
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs a command to its end, whatever its exit code."""
        return subprocess.run(
            self.argv(command, *arguments),
            env=self.environment,
            input=stdin,
            capture_output=True,
            timeout=seconds,
            check=False,
        )

    def text(self, command: str, *arguments: str) -> str:
        """Standard output of a command that succeeds."""
        done = self.run(command, *arguments)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def start(self, command: str, *arguments: str, **more: int) -> "subprocess.Popen[bytes]":
        """Starts a command."""
        return subprocess.Popen(
            self.argv(command, *arguments),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **more,  # type: ignore[call-overload]
        )

    def processes(self, name: str, word: str) -> list[str]:
        """Processes in a Sandbox with a word in their arguments, as kubectl sees them."""
        script = 'for p in /proc/[0-9]*; do tr "\\0" " " < $p/cmdline; echo; done 2>/dev/null'
        listed = support.execute(self.cluster, self.namespace, name, "sh", "-c", script)
        return [line for line in listed.splitlines() if word in line]


@contextmanager
def with_sandbox(cluster: Cluster, name: str = "demo") -> Iterator[CommandLine]:
    """A namespace with one Sandbox that is Ready."""
    with fresh_namespace(cluster) as namespace:
        support.sandbox(cluster, namespace, name)
        yield CommandLine(cluster, namespace)
