"""Runs rows one after the other, each in a process of its own, and prints what it saw of each.

Runs inside the Sandbox. One line of JSON per row, with the times between which it ran: the
stand-in internet has the same clock.
"""

import importlib
import json
import os
import select
import signal
import sys
import time
from typing import Any, Final

from bypass.probes.wire import Heard

_PATIENCE_SECONDS: Final = 40.0
_SETTLE_SECONDS: Final = 0.03
"""For the last packet of a row to arrive."""


def run(rows: list[dict[str, Any]]) -> None:
    """Runs rows: name, probe (`module.function`) and args of each."""
    for row in rows:
        start = time.time()
        heard = _in_child(row)
        time.sleep(_SETTLE_SECONDS)
        line = {"row": row["name"], "start": start, "end": time.time(), **heard._asdict()}
        say(json.dumps(line))


def say(line: str) -> None:
    """Tells whoever started this, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _in_child(row: dict[str, Any]) -> Heard:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _tell(writer, row)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], _PATIENCE_SECONDS)
    if not ready:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return Heard(*json.loads(text)) if text else Heard("untried", "", "it did not end")


def _tell(writer: int, row: dict[str, Any]) -> None:
    """The child's side; never returns."""
    try:
        heard = _tried(row)
        os.write(writer, json.dumps(heard).encode())
    finally:
        os._exit(0)


def _tried(row: dict[str, Any]) -> Heard:
    module, _, function = row["probe"].partition(".")
    try:
        found = getattr(importlib.import_module(f"bypass.probes.{module}"), function)(**row["args"])
    except Exception as error:  # noqa: BLE001 - a row that fails by itself must be told, not lost
        return Heard("untried", "", f"{type(error).__name__}: {error}")
    return Heard(*found)
