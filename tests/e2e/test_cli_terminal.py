"""`ringfence exec -it`: a real terminal at both ends."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from typing import Self

import pytest

import support
from cluster import Cluster
from command_line import CommandLine, with_sandbox


class Screen:
    """A terminal with a person at it."""

    def __init__(
        self, cli: CommandLine, *arguments: str, rows: int = 33, columns: int = 101
    ) -> None:
        self._master, slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            cli.argv("exec", *arguments),
            env=cli.environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        self._slave = slave
        self.seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    def resize(self, rows: int, columns: int) -> None:
        """Changes the size, and tells whoever is in front."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        """Presses keys."""
        os.write(self._master, text.encode())

    def expect(self, pattern: str, seconds: float = 30) -> re.Match[str]:
        """Waits for something to appear that was not seen before."""
        until = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < until, f"{pattern!r} is not in {self.seen!r}"
            if select.select([self._master], [], [], 0.1)[0]:
                self.seen += os.read(self._master, 4096).decode(errors="replace")
        self.seen = self.seen[found.end() :]
        return found

    def ended(self) -> int:
        """Exit code; the terminal must be as it was before."""
        code = self.process.wait(30)
        assert termios.tcgetattr(self._slave) == self.before
        return code


@pytest.fixture(scope="module")
def cli(ringfence: Cluster) -> Iterator[CommandLine]:
    with with_sandbox(ringfence) as found:
        yield found


def test_shell_on_a_terminal_knows_its_size_and_hears_of_changes(cli: CommandLine) -> None:
    with Screen(cli, "-it", "demo", "--", "bash", "--norc") as screen:
        screen.expect(r"\$ ")
        screen.type("tty; stty size\r")
        screen.expect(r"/dev/pts/\d+\s+33 101")
        screen.resize(44, 77)
        os.kill(screen.process.pid, signal.SIGWINCH)
        time.sleep(1)
        screen.type("stty size\r")
        screen.expect(r"44 77")
        screen.type("exit 9\r")
        assert screen.ended() == 9


def test_without_a_command_there_is_a_shell(cli: CommandLine) -> None:
    with Screen(cli, "demo") as screen:
        screen.expect(r"\$ ")
        screen.type("echo $((6 * 7)) in $PWD\r")
        screen.expect(r"42 in /work")
        screen.type("\x04")
        assert screen.ended() == 0


def test_control_c_goes_to_the_command_and_not_to_us(cli: CommandLine) -> None:
    with Screen(cli, "-it", "demo", "--", "bash", "--norc") as screen:
        screen.expect(r"\$ ")
        screen.type("sleep 703\r")
        support.poll("sleep", lambda: cli.processes("demo", "sleep 703"))
        screen.type("\x03")
        screen.expect(r"\$ ")
        screen.type("echo status $?\r")
        screen.expect(r"status 130")
        screen.type("exit\r")
        screen.ended()


def test_terminal_that_is_closed_leaves_no_process_behind(cli: CommandLine) -> None:
    """With jobs in process groups of their own, as an interactive shell makes them."""
    with Screen(cli, "-it", "demo", "--", "bash", "--norc") as screen:
        screen.expect(r"\$ ")
        screen.type("sleep 704 & setsid sleep 704 & nohup sleep 704\r")
        support.poll("sleep", lambda: len(cli.processes("demo", "sleep 704")) == 3 or None)
        screen.process.send_signal(signal.SIGHUP)
        assert screen.ended() == 128 + signal.SIGHUP
    assert cli.processes("demo", "sleep 704") == []


def test_without_a_terminal_here_it_goes_on_without_one_there(cli: CommandLine) -> None:
    done = cli.run("exec", "-it", "demo", "--", "sh", "-c", "tty; cat", stdin=b"typed\n")
    assert done.stdout == b"not a tty\ntyped\n"
    assert b"no terminal here" in done.stderr
