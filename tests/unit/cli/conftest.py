"""A cluster whose Sandbox runs its commands on this machine, and the command line on it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from local_cluster import LocalCluster, local_cluster
from ringfence.cli.app import app

PROGRAM = "import sys; from ringfence.cli.main import main; sys.argv[0] = 'ringfence'; main()"


class Line:
    """The command line of a person whose kubeconfig says namespace agents."""

    def __init__(self, cluster: LocalCluster, kubeconfig: Path) -> None:
        self.cluster = cluster
        self.environment = {"KUBECONFIG": str(kubeconfig)}

    def invoke(self, *arguments: str, stdin: str | None = None) -> Result:
        """In this process."""
        return CliRunner().invoke(app, arguments, input=stdin, env=self.environment)

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """As a program of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            env={**os.environ, **self.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        """The same, to its end."""
        with self.start(*arguments) as process:
            out, err = process.communicate(stdin, timeout=25)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """The command line; signal handlers of this process are as before afterwards."""
    work = tmp_path / "work"
    work.mkdir()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    with local_cluster(work) as cluster:
        yield Line(cluster, cluster.kubeconfig(tmp_path))
    for number, handler in handlers.items():
        signal.signal(number, handler)
