"""Network namespaces for tests: make one, and create sockets inside one from this process.

Only namespaces whose names begin with `rf-` are made or removed. It must not touch the host's own
addresses, routes or sysctls.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

RUN_NETNS = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"cannot enter a network namespace: {os.strerror(error)} (needs root)")


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Run the block with this thread in a named namespace; sockets made there stay there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    target = os.open(RUN_NETNS / name, os.O_RDONLY)
    try:
        _setns(target)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(target)
        os.close(home)


@contextmanager
def namespace(name: str, addresses: Sequence[str]) -> Iterator[str]:
    """Make a namespace with nothing but a loopback that owns these addresses; remove it after."""
    if not name.startswith("rf-"):
        msg = f"test namespace {name!r} must be named rf-..."
        raise ValueError(msg)
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        for address in addresses:
            subprocess.run(["ip", "-n", name, "addr", "add", address, "dev", "lo"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def run(
    name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a named namespace to its end, with this environment or our own."""
    return subprocess.run(
        ["ip", "netns", "exec", name, *command],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
