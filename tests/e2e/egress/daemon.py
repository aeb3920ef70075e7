"""Start and stop the stand-in package index as a process inside a network namespace.

The process outlives its starter (a demo cluster stays up), so its pid and log stand in a directory.
Only a process that is really the index is ever signalled.

    python -m egress.daemon start --netns rf-world
    python -m egress.daemon stop
"""

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster import processes
from cluster.shell import in_netns
from egress import ca
from egress.index import Index
from egress.netns import inside
from ringfence.allowlist import default_hosts

ADDRESS = "203.0.113.10"
PORT = 443
WHEELS = ca.CACHE / "wheels"
STATE = ca.CACHE / "index"
_PYTHONPATH = Path(__file__).resolve().parents[1], Path(__file__).resolve().parents[3] / "operator"


@dataclass(frozen=True)
class IndexProcess:
    """A running index."""

    pid: int
    log: Path

    def requests(self) -> list[dict[str, Any]]:
        """Return the request log: host, path, status and bytes of every answer so far."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]


def _running(state: Path) -> int | None:
    """Return the pid in the state directory if that process is still the index."""
    with suppress(FileNotFoundError, ValueError, ProcessLookupError):
        pid = int((state / "pid").read_text())
        if b"egress.daemon" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


def _answers(netns: str) -> bool:
    context = ssl.create_default_context(cafile=str(ca.ca()))
    with suppress(OSError), inside(netns):
        with socket.create_connection((ADDRESS, PORT), timeout=1) as connection:
            context.wrap_socket(connection, server_hostname=default_hosts()[0]).close()
        return True
    return False


def start(netns: str, *, wheels: Path = WHEELS, state: Path = STATE) -> IndexProcess:
    """Start the index at 203.0.113.10:443 of a namespace and wait until it answers.

    A running one is stopped first: it may serve another namespace or directory.
    """
    stop(state)
    for directory in (wheels, state):
        directory.mkdir(parents=True, exist_ok=True)
    log = state / "requests.jsonl"
    log.unlink(missing_ok=True)
    serve = ("-m", "egress.daemon", "serve", "--netns", netns, "--wheels", str(wheels))
    # All of it in the namespace: `cluster down` ends what it finds there.
    command = in_netns(netns, "setsid", "--fork", sys.executable, *serve, "--state", str(state))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, _PYTHONPATH))}
    with (state / "output").open("wb") as output:
        subprocess.run(command, stdout=output, stderr=output, env=environment, check=True)
    _wait(netns, state)
    return IndexProcess(int((state / "pid").read_text()), log)


def _wait(netns: str, state: Path) -> None:
    end = time.monotonic() + 15
    while _running(state) is None or not _answers(netns):
        died = (state / "pid").exists() and _running(state) is None
        if died or time.monotonic() > end:
            stop(state)
            output = (state / "output").read_text(errors="replace")[-2000:]
            message = f"the package index does not answer on {ADDRESS}:{PORT} of {netns}: {output}"
            raise RuntimeError(message)
        time.sleep(0.05)


def stop(state: Path = STATE) -> None:
    """Stop the index if it runs, and wait until it is gone."""
    pid = _running(state)
    if pid is not None and (found := processes.process(pid)) is not None:
        processes.stop(found)
    (state / "pid").unlink(missing_ok=True)


@contextmanager
def running(netns: str, *, wheels: Path = WHEELS, state: Path = STATE) -> Iterator[IndexProcess]:
    """Run the index in a namespace until the block ends."""
    try:
        yield start(netns, wheels=wheels, state=state)
    finally:
        stop(state)


app = typer.Typer(add_completion=False, help="The stand-in package index.")
_Wheels = Annotated[Path, typer.Option(help="Directory of wheels to serve.")]
_State = Annotated[Path, typer.Option(help="Directory of the pid file and the logs.")]
_Netns = Annotated[str, typer.Option(help="Network namespace that owns 203.0.113.10.")]


@app.command("start")
def start_command(
    netns: _Netns = "rf-world", wheels: _Wheels = WHEELS, state: _State = STATE
) -> None:
    """Start the index in the background."""
    index = start(netns, wheels=wheels, state=state)
    typer.echo(f"package index: pid {index.pid}, requests in {index.log}")


@app.command("stop")
def stop_command(state: _State = STATE) -> None:
    """Stop the index."""
    stop(state)


@app.command()
def serve(netns: _Netns = "rf-world", wheels: _Wheels = WHEELS, state: _State = STATE) -> None:
    """Serve in the foreground."""
    (state / "pid").write_text(str(os.getpid()))
    with inside(netns):
        server = Index((ADDRESS, PORT), wheels, state / "requests.jsonl", state)
    server.serve_forever()


if __name__ == "__main__":
    app()
