"""Commands as a user of the SDK runs them; they really run, on this machine."""

import os
import secrets
import threading
import time

import pytest

from local_cluster import LocalCluster, sandbox
from ringfence.client import remote
from ringfence.client.wakeup import Wakeup
from ringfence.sdk import scripts
from ringfence.sdk.commands import Commands
from ringfence.sdk.errors import (
    CommandFailed,
    CommandTimedOut,
    InvalidArgument,
    NotFound,
    NotReady,
    ProcessesLeft,
    Stopped,
    Unavailable,
)
from sdk.marked import running, wait_running

ESCAPES = """\
sleep {n} &
setsid sleep {n} &
(setsid env -i sleep {n} &)
env -i sh -c 'sleep {n}; true'
"""
"""In the group, out of the session, out of the family with an empty environment, and in front."""


@pytest.fixture
def commands(cluster: LocalCluster) -> Commands:
    return Commands(cluster.place())


@pytest.fixture
def number() -> str:
    """An argument of sleep that no other process has."""
    return f"60.{secrets.randbelow(10**9):09}"


def test_output_and_exit_status_come_back(commands: Commands) -> None:
    done = commands.run("echo out; echo err >&2; exit 3", check=False)
    assert done == ("out\n", "err\n", 3, False)


def test_other_status_than_0_raises_and_tells_what_was_said(commands: Commands) -> None:
    with pytest.raises(CommandFailed, match="exit status 7: no such thing") as caught:
        commands.run("echo no such thing >&2; exit 7")
    assert caught.value.result.exit_code == 7


def test_words_reach_no_shell(commands: Commands) -> None:
    assert commands.run(["printf", "%s|", "$HOME", "a b", "*", ""]).stdout == "$HOME|a b|*||"


def test_directory_and_variables_are_set(commands: Commands) -> None:
    done = commands.run('pwd; echo "$A"', cwd="/usr", env={"A": "b $c '\"\n"})
    assert done.stdout == "/usr\nb $c '\"\n\n"


def test_directory_that_is_not_there_fails_before_the_command_runs(commands: Commands) -> None:
    done = commands.run("echo ran", cwd="/none", check=False)
    assert (done.stdout, done.exit_code) == ("", scripts.CANNOT_CHANGE_DIRECTORY)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ([], {}),
        ([""], {}),
        (["a\0b"], {}),
        (["a"], {"env": {"A-B": "c"}}),
        (["a"], {"env": {"A=B": "c"}}),
        (["a"], {"env": {"--": "c"}}),
    ],
)
def test_what_no_command_line_can_hold_is_refused(
    commands: Commands,
    cluster: LocalCluster,
    command: list[str],
    options: dict[str, dict[str, str]],
) -> None:
    with pytest.raises(InvalidArgument):
        commands.run(command, env=options.get("env", {}))
    assert cluster.execs == []


def test_input_arrives_whole_and_ends(commands: Commands) -> None:
    data = os.urandom(3_000_000)
    assert commands.run("wc -c", stdin=data).stdout.strip() == "3000000"
    assert commands.run("cat", stdin="ü\n").stdout == "ü\n"
    assert commands.run("cat", stdin="").stdout == ""


def test_without_input_a_reader_sees_its_end(commands: Commands) -> None:
    assert commands.run("cat; echo end").stdout == "end\n"


def test_output_is_told_as_it_comes(commands: Commands) -> None:
    told: list[tuple[float, str]] = []
    begun = time.monotonic()
    commands.run(
        "echo first; sleep 1; echo second",
        on_stdout=lambda text: told.append((time.monotonic() - begun, text)),
    )
    assert [text for _, text in told] == ["first\n", "second\n"]
    assert told[1][0] - told[0][0] > 0.5


def test_characters_are_not_torn_apart(commands: Commands) -> None:
    told: list[str] = []
    done = commands.run(r"printf '\303'; sleep 0.3; printf '\274'", on_stdout=told.append)
    assert (done.stdout, "".join(told)) == ("ü", "ü")


def test_flood_is_cut_and_said_to_be_so(commands: Commands) -> None:
    told = [0]

    def count(text: str) -> None:
        told[0] += len(text)

    done = commands.run("head -c 5000000 /dev/zero", max_output=1000, on_stdout=count)
    assert (len(done.stdout), done.truncated, told[0]) == (1000, True, 5_000_000)


def test_whatever_a_command_started_ends_with_its_time(commands: Commands, number: str) -> None:
    with pytest.raises(CommandTimedOut, match=r"not done within 1 s") as caught:
        commands.run(f"echo begun; {ESCAPES.format(n=number)}", timeout=1)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.result.stdout == "begun\n"
    assert caught.value.result.exit_code is None
    assert running(number) == []


def test_without_the_mark_some_of_it_gets_away(
    commands: Commands, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack of the test above succeeds when the defence is taken away."""
    unmarked = scripts._RUN.replace("ulimit -S", "false")
    monkeypatch.setattr(scripts, "_RUN", unmarked)
    try:
        with pytest.raises(ProcessesLeft):
            commands.run(ESCAPES.format(n=number), timeout=1)
        assert len(running(number)) == 2
    finally:
        for process in running(number):
            os.kill(process, 9)


def test_a_crowd_that_forks_on_ends(commands: Commands, number: str) -> None:
    crowd = f"f() {{ sleep {number} & sleep 0.02; f; }}; f & f & f & wait"
    with pytest.raises(CommandTimedOut):
        commands.run(crowd, timeout=2)
    assert running(number) == []


def test_another_command_is_left_alone(commands: Commands, number: str) -> None:
    other = commands.run(f"sleep {number} >/dev/null 2>&1 & echo started")
    assert other.stdout == "started\n"
    try:
        with pytest.raises(CommandTimedOut):
            commands.run("sleep 30", timeout=0.5)
        assert len(running(number)) == 1
    finally:
        for process in running(number):
            os.kill(process, 9)


def test_exception_of_a_callback_ends_the_command(commands: Commands, number: str) -> None:
    def refuse(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commands.run(f"echo begun; sleep {number}", on_stdout=refuse)
    assert running(number) == []


def test_another_thread_stops_a_command(cluster: LocalCluster, number: str) -> None:
    with Wakeup() as wakeup:

        def stop() -> None:
            wait_running(number, 1)
            wakeup.stop()

        thread = threading.Thread(target=stop)
        thread.start()
        with pytest.raises(Stopped):
            Commands(cluster.place(wakeup)).run(f"sleep {number}")
        thread.join()
    assert running(number) == []


def test_lost_connection_ends_the_command_and_is_told(
    cluster: LocalCluster, commands: Commands, number: str
) -> None:
    cluster.cut_after = 1.0
    with pytest.raises(Unavailable, match="ended before the command did"):
        commands.run(f"exec sleep {number}")
    assert running(number) == []


def test_silence_of_the_server_is_not_waited_out_for_ever(
    cluster: LocalCluster, commands: Commands, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    """Pings stay unanswered: nobody is there. A command that is merely quiet goes on."""
    monkeypatch.setattr(remote, "_PING_SECONDS", 0.3)
    monkeypatch.setattr(remote, "_SILENCE_SECONDS", 2.0)
    assert commands.run("sleep 4; echo quiet").stdout == "quiet\n"
    cluster.execs.clear()
    cluster.mute_first = True
    with pytest.raises(Unavailable, match="nothing was heard"):
        commands.run(f"exec sleep {number}")
    assert running(number) == []


def test_process_that_cannot_be_ended_is_told(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    monkeypatch.setattr(scripts, "_KILL", "exit 1")
    monkeypatch.setattr("ringfence.sdk.place._SETTLE_SECONDS", 0.01)
    try:
        with pytest.raises(ProcessesLeft, match=r"ringfence delete demo -n agents"):
            commands.run(f"sleep {number}", timeout=0.3)
    finally:
        for process in running(number):
            os.kill(process, 9)


def test_missing_program_is_the_shells_127(commands: Commands) -> None:
    assert commands.run(["no-such-program"], check=False).exit_code == 127


def test_missing_sandbox_is_told_with_a_way_out(cluster: LocalCluster, commands: Commands) -> None:
    cluster.api.drop("sandboxes", "agents", "demo")
    cluster.refuse = {"kind": "Status", "code": 404, "reason": "NotFound", "message": "no pod"}
    with pytest.raises(NotFound, match=r"no Sandbox demo in namespace agents: `ringfence ls -A`"):
        commands.run("true")


def test_sandbox_that_is_not_ready_says_why(cluster: LocalCluster, commands: Commands) -> None:
    cluster.api.put("sandboxes", sandbox(ready=False))
    cluster.refuse = {"kind": "Status", "code": 404, "reason": "NotFound", "message": "no pod"}
    with pytest.raises(NotReady, match=r"Unschedulable: no node has room \(free room on a node"):
        commands.run("true")


def test_missing_rights_are_told(cluster: LocalCluster, commands: Commands) -> None:
    message = "pods demo is forbidden: cannot create pods/exec"
    cluster.refuse = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": message}
    with pytest.raises(Unavailable, match=r"cannot create pods/exec: ask for the rights"):
        commands.run("true")
