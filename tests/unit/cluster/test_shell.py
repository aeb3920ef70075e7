"""Programs fail loudly, and an interruption ends a long one with everything it started."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from cluster import processes
from cluster.errors import ClusterError
from cluster.shell import run, run_long, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_failure_names_the_command_its_status_and_its_last_words() -> None:
    with pytest.raises(ClusterError, match=r"(?s)`sh -c .*` ended with status 3:\nno disk"):
        run("sh", "-c", "echo no disk >&2; exit 3")


def test_failure_of_a_long_program_is_told_the_same_way() -> None:
    with pytest.raises(ClusterError, match=r"(?s)ended with status 4:.*no route"):
        run_long("sh", "-c", "echo no route; exit 4")


def test_program_never_waits_for_the_terminal() -> None:
    assert run("cat").stdout == ""


def test_deadline_names_what_did_not_happen() -> None:
    with pytest.raises(ClusterError, match="the moon did not happen within 0 s"):
        wait_until("the moon", lambda: False, 0)


def test_interruption_ends_a_long_program_and_its_children(tmp_path: Path) -> None:
    file = tmp_path / "child"
    script = f"sleep 60 & echo $! >{file}; wait"

    def interrupt() -> None:
        wait_until("child", lambda: file.exists() and bool(file.read_text()), 10)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_long("sh", "-c", script)
    thread.join()
    child = int(file.read_text())
    wait_until("end of the child", lambda: processes.process(child) is None, 5)
