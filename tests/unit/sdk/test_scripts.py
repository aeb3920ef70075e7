"""The shell that starts and ends commands, in every shell that this machine has."""

import os
import secrets
import shutil
import subprocess
import time

import pytest

from ringfence.sdk import scripts
from ringfence.sdk.place import new_mark
from sdk.marked import running, wait_running

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]


def with_shell(shell: str, argv: list[str]) -> list[str]:
    return [*(["busybox", "sh"] if shell == "busybox" else [shell]), *argv[1:]]


@pytest.mark.parametrize("shell", SHELLS)
def test_command_is_the_process_that_was_started(shell: str) -> None:
    argv = with_shell(shell, scripts.run(["sh", "-c", "echo $$"], new_mark()))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.read().strip() == str(process.pid)


@pytest.mark.parametrize("shell", SHELLS)
def test_marked_processes_end_and_no_others(shell: str) -> None:
    number = f"61.{secrets.randbelow(10**9):09}"
    marks = new_mark(), new_mark()
    line = f"(setsid env -i sleep {number} &); sleep {number}"
    started = [
        subprocess.Popen(with_shell(shell, scripts.run(scripts.line(line), mark))) for mark in marks
    ]
    try:
        wait_running(number, 4)
        done = subprocess.run(with_shell(shell, scripts.kill(marks[0])), check=False)
        assert done.returncode == 0
        assert len(running(number)) == 2
    finally:
        for process in running(number):
            os.kill(process, 9)
        for process in started:
            process.wait(10)


def test_where_the_limit_cannot_be_set_the_session_still_ends() -> None:
    """As under another kernel: the hard limit is too low for a mark."""
    number = f"62.{secrets.randbelow(10**9):09}"
    mark = new_mark()
    argv = scripts.run(scripts.line(f"sleep {number} & sleep {number}"), mark)
    started = subprocess.Popen(["prlimit", "--locks=7:7", *argv], start_new_session=True)
    wait_running(number, 2)
    assert subprocess.run(scripts.kill(mark), check=False).returncode == 0
    assert running(number) == []
    assert started.wait(10) != 0


def test_nothing_to_end_is_no_error_and_quick() -> None:
    begun = time.monotonic()
    assert subprocess.run(scripts.kill(new_mark()), check=False).returncode == 0
    assert time.monotonic() - begun < 10


def test_marks_differ() -> None:
    assert len({new_mark() for _ in range(100)}) == 100


def test_variables_of_the_wrapper_do_not_reach_the_command() -> None:
    argv = scripts.run(["env"], new_mark(), env={"mark": "kept", "_rf": "kept"})
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "mark=kept" in said.splitlines()
    assert "_rf_" not in said
