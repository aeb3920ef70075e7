"""Pid files: the right process is found and ended, a reused number never is."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cluster import processes
from cluster.errors import ClusterError
from cluster.processes import Process
from cluster.shell import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "component.log"


@pytest.fixture
def sleeper(log: Path) -> Iterator[Process]:
    found = processes.start(["sleep", "60"], log)
    yield found
    found.signal(signal.SIGKILL)


def test_pid_file_finds_the_process_again(sleeper: Process, tmp_path: Path) -> None:
    file = tmp_path / "sleeper.pid"
    processes.write_pid_file(file, sleeper)
    assert processes.read_pid_file(file) == sleeper


def test_number_given_to_another_process_is_neither_found_nor_signalled(
    sleeper: Process, tmp_path: Path
) -> None:
    earlier = Process(sleeper.pid, sleeper.started - 1)
    file = tmp_path / "earlier.pid"
    processes.write_pid_file(file, earlier)
    assert processes.read_pid_file(file) is None
    earlier.signal(signal.SIGKILL)
    processes.stop(earlier)
    assert sleeper.alive


@pytest.mark.parametrize("text", ["", "12", "one two", "1 2 3"])
def test_damaged_pid_file_speaks_of_no_process(text: str, tmp_path: Path) -> None:
    file = tmp_path / "damaged.pid"
    file.write_text(text)
    assert processes.read_pid_file(file) is None


_LEADER_ENDS_FIRST = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
ctypes.CDLL(None).syscall(60, 0)  # exit of this thread alone, not of the process
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="number of the system call exit")
def test_process_whose_first_thread_has_ended_still_holds_its_sockets(log: Path) -> None:
    found = processes.start([sys.executable, "-c", _LEADER_ENDS_FIRST], log)
    stat = Path(f"/proc/{found.pid}/stat")
    wait_until("end of the first thread", lambda: stat.read_text().rpartition(")")[2][1] == "Z", 5)
    assert found.alive
    processes.stop(found)
    assert not found.alive


def test_started_process_outlives_the_terminal(sleeper: Process) -> None:
    wait_until("own session", lambda: os.getsid(sleeper.pid) == sleeper.pid, 5)


def test_child_of_a_wrapper_is_the_process_that_is_remembered(log: Path) -> None:
    found = processes.start(["sh", "-c", "sleep 60; true"], log, child=True)
    try:
        wait_until("exec", lambda: "sleep" in _command_line(found), 5)
    finally:
        processes.stop(found)
    assert not found.alive


def _command_line(found: Process) -> str:
    done = subprocess.run(
        ["ps", "-o", "args=", "-p", str(found.pid)], capture_output=True, text=True, check=False
    )
    return done.stdout


def test_process_deaf_to_sigterm_is_ended_by_force(log: Path) -> None:
    found = processes.start(["sh", "-c", "trap '' TERM; echo deaf; sleep 60 & wait"], log)
    wait_until("trap", lambda: "deaf" in processes.tail(log), 5)
    (child,) = processes.children(found.pid)
    processes.stop(found, seconds=0.2)
    assert not found.alive
    os.kill(child, signal.SIGKILL)


def test_zombie_counts_as_dead() -> None:
    with subprocess.Popen(["true"]) as child:
        wait_until("zombie", lambda: processes.start_time(child.pid) is None, 5)


def test_failed_start_names_the_component_and_shows_the_end_of_its_log(log: Path) -> None:
    with pytest.raises(ClusterError, match=r"(?s)^component died\..*no such thing$"):
        processes.start(["sh", "-c", "echo no such thing; exit 1"], log, child=True)


def test_tail_keeps_the_last_lines_only(log: Path) -> None:
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    assert processes.tail(log, lines=2) == "line 98\nline 99"
