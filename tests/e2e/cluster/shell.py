"""Running programs: one function that fails loudly, and the argv prefixes for namespaces.

Nothing here knows the cluster; nothing here goes through a shell's parser.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import IO, TYPE_CHECKING, Any

from cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

POLL_SECONDS = 0.1


def run(
    *argv: str | Path,
    stdin: str | IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it printed; raise with its stderr if it failed."""
    words = [str(word) for word in argv]
    # Never the terminal: a program that asks something would hang unseen.
    source: dict[str, Any] = (
        {"input": stdin} if isinstance(stdin, str) else {"stdin": stdin or subprocess.DEVNULL}
    )
    done = subprocess.run(
        words, **source, env=env, cwd=cwd, text=True, capture_output=True, check=False
    )
    if check and done.returncode != 0:
        raise ClusterError(failure_message(words, done))
    return done


def run_long(
    *argv: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> None:
    """Run a program that takes minutes; an interruption ends it with all its children."""
    words = [str(word) for word in argv]
    with subprocess.Popen(
        words,
        env=env,
        cwd=cwd,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            _end_group(process)
            raise
    if process.returncode != 0:
        done = subprocess.CompletedProcess(words, process.returncode, stdout="", stderr=output)
        raise ClusterError(failure_message(words, done))


def _end_group(process: subprocess.Popen[str]) -> None:
    """Ask a program and its children to end (mmdebstrap then cleans up), else force them."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)


def failure_message(words: list[str], done: subprocess.CompletedProcess[str]) -> str:
    """What to tell about a failed program: the command, the status, its last lines."""
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[-20:]
    return "\n".join([f"`{' '.join(words)}` ended with status {done.returncode}:", *lines])


def in_netns(name: str, *argv: str) -> list[str]:
    """Argv that runs a program in a named network namespace.

    `ip netns exec` is not used: it remounts /sys and so hides the cgroup mounts.
    """
    return ["nsenter", f"--net=/run/netns/{name}", "--", *argv]


def in_node(pid: int, *argv: str) -> list[str]:
    """Argv that runs a program in all namespaces of the node whose pid 1 is given."""
    return ["nsenter", f"--target={pid}", "--mount", "--uts", "--net", "--pid", "--", *argv]


def wait_until(what: str, condition: Callable[[], bool], seconds: float) -> None:
    """Poll until the condition holds; raise with the name of the thing at the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            message = f"{what} did not happen within {seconds:.0f} s"
            raise ClusterError(message)
        time.sleep(POLL_SECONDS)
