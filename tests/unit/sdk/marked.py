"""Finds processes of a test on this machine, whatever has become of their parents."""

import os
import time
from pathlib import Path


def running(word: str) -> list[int]:
    """Processes with a word in their arguments, zombies and ourselves left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes()
            state = (entry / "stat").read_text().rpartition(") ")[2][0]
        except OSError:
            continue
        if word.encode() in arguments.split(b"\0") and state != "Z":
            found.append(int(entry.name))
    return found


def wait_running(word: str, count: int, seconds: float = 10.0) -> None:
    """Returns once so many run."""
    until = time.monotonic() + seconds
    while len(running(word)) != count:
        assert time.monotonic() < until, f"{running(word)} run, not {count}"
        time.sleep(0.02)
