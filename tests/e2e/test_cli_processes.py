"""A command that is cancelled, timed out or cut off leaves no process behind in the Sandbox."""

import contextlib
import secrets
import signal
import subprocess
from collections.abc import Iterator

import pytest

import support
from cluster import Cluster
from command_line import CommandLine, with_sandbox

ESCAPES = "sleep {n} & setsid sleep {n} & (setsid env -i sleep {n} &); env -i sh -c 'sleep {n}; :'"
"""In the group, out of the session, out of the family with an empty environment, and in front."""


@pytest.fixture(scope="module")
def cli(ringfence: Cluster) -> Iterator[CommandLine]:
    with with_sandbox(ringfence) as found:
        yield found


@pytest.fixture
def number() -> str:
    """An argument of sleep that no other process has."""
    return f"700.{secrets.randbelow(10**9):09}"


def _wait_running(cli: CommandLine, word: str, count: int) -> None:
    support.poll(
        f"{count} of {word}", lambda: len(cli.processes("demo", f"sleep {word}")) >= count or None
    )


def test_timed_out_command_leaves_no_process_behind(cli: CommandLine, number: str) -> None:
    script = ESCAPES.format(n=number)
    done = cli.run("exec", "demo", "--timeout", "3", "--", "sh", "-c", script)
    assert done.returncode == 124
    assert "not done within 3 s: it and all it started were ended" in done.stderr.decode()
    assert cli.processes("demo", number) == []


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_command_leaves_no_process_behind(
    cli: CommandLine, number: str, signal_: signal.Signals
) -> None:
    started = cli.start("exec", "demo", "--", "sh", "-c", ESCAPES.format(n=number))
    _wait_running(cli, number, 4)
    started.send_signal(signal_)
    started.communicate(timeout=60)
    assert started.returncode == 128 + signal_
    assert cli.processes("demo", number) == []


def test_interrupted_at_once_leaves_no_process_behind(cli: CommandLine, number: str) -> None:
    """Whatever the moment: before the connection, while it is opened, after the start."""
    for wait in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4):
        started = cli.start("exec", "demo", "--", "sh", "-c", f"sleep {number}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(wait)
        started.send_signal(signal.SIGTERM)
        started.communicate(timeout=60)
    assert cli.processes("demo", number) == []


def test_command_at_the_limit_of_processes_can_be_ended(cli: CommandLine, number: str) -> None:
    """The killer forks nothing: every place of the 256 is taken."""
    script = f"i=0; while [ $i -lt 300 ]; do sleep {number} & i=$((i+1)); done; sleep {number}"
    done = cli.run("exec", "demo", "--timeout", "10", "--", "bash", "-c", script)
    assert done.returncode in (124, 254), done.stderr.decode()[-500:]
    support.poll("no process", lambda: cli.processes("demo", f"sleep {number}") == [] or None)


def test_fork_bomb_ends_with_its_time(cli: CommandLine) -> None:
    bomb = "bomb() { bomb | bomb & }; bomb; while :; do sleep 1; done"
    done = cli.run("exec", "demo", "--timeout", "4", "--", "bash", "-c", bomb)
    assert done.returncode == 124, done.stderr.decode()[-500:]
    assert cli.processes("demo", "bomb()") == []


def test_command_outlives_no_restart_of_the_api_server(cli: CommandLine, number: str) -> None:
    """A lost connection is an end, too: nobody would ever end the command otherwise."""
    started = cli.start("exec", "demo", "--", "sh", "-c", f"sleep {number}")
    _wait_running(cli, number, 1)
    cli.cluster.restart("apiserver")
    _, said = started.communicate(timeout=100)
    assert started.returncode == 125, said.decode()
    support.poll("the API server", lambda: _answers(cli) or None)
    assert cli.processes("demo", number) == []


def _answers(cli: CommandLine) -> bool:
    return cli.run("ls").returncode == 0


def test_other_commands_go_on(cli: CommandLine, number: str) -> None:
    other = cli.start("exec", "demo", "--", "sh", "-c", f"sleep {number}")
    _wait_running(cli, number, 1)
    assert cli.run("exec", "demo", "--timeout", "1", "--", "sleep", "60").returncode == 124
    assert len(cli.processes("demo", f"sleep {number}")) == 2  # the shell's arguments say it, too
    other.send_signal(signal.SIGTERM)
    other.communicate(timeout=60)
