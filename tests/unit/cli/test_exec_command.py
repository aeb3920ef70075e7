"""`ringfence exec`: bytes, exit codes, signals; with and without typer."""

import secrets
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.conftest import PROGRAM, Line
from ringfence.cli import remote_exec
from ringfence.cli.app import app
from ringfence.cli.execute import Wanted
from ringfence.cli.quick import parse
from sdk.marked import running, wait_running


def test_output_and_exit_code_are_the_commands_own(line: Line) -> None:
    done = line.run("exec", "demo", "--", "sh", "-c", r"printf '\0\377'; printf '\1' >&2; exit 9")
    assert (done.returncode, done.stdout, done.stderr) == (9, b"\0\xff", b"\1")


@pytest.mark.parametrize("more", [[], ["--env", "A=b"]], ids=["quick", "typer"])
def test_input_is_passed_on_only_if_asked_for(line: Line, more: list[str]) -> None:
    data = bytes(range(256)) * 2000
    assert line.run("exec", "demo", "-i", *more, "--", "cat", stdin=data).stdout == data
    assert line.run("exec", "demo", *more, "--", "cat", stdin=data).stdout == b""


def test_directory_and_variables_arrive(line: Line) -> None:
    words = ("-e", "A=b c", "-e", "KUBECONFIG", "--cwd", "/usr", "--", "sh", "-c", 'echo $PWD "$A"')
    assert line.run("exec", "demo", *words).stdout == b"/usr b c\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none", "--", "true"], 125, "there is no Sandbox none in namespace agents"),
        (["demo", "--context", "none", "--", "true"], 125, "no context 'none'; there are: c"),
        (["demo", "-e", "A-B=c", "--", "true"], 2, "is no name of an environment variable"),
        (["demo", "--no-such-option", "--", "true"], 2, "No such option"),
        (["--", "true"], 125, "no Sandbox true"),
        (["demo", "--timeout", "0.5", "--", "sleep", "60"], 124, "not done within 0.5 s"),
        (["demo", "-t", "--", "tty"], 1, "no terminal here: going on without -t"),
    ],
)
def test_what_goes_wrong_has_a_code_and_a_way_out(
    line: Line, arguments: list[str], code: int, said: str
) -> None:
    if code == 125:
        line.cluster.refuse = {"code": 404, "reason": "NotFound", "message": "no pod"}
    done = line.run("exec", *arguments)
    assert (done.returncode, said in done.stderr.decode()) == (code, True), done.stderr.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_the_command_and_all_it_started(line: Line, number: signal.Signals) -> None:
    word = f"64.{secrets.randbelow(10**9):09}"
    process = line.start("exec", "demo", "--", "sh", "-c", f"setsid sleep {word} & sleep {word}")
    wait_running(word, 2)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert running(word) == []


def test_a_second_signal_ends_even_the_tidying_up(line: Line) -> None:
    """The API server takes the connection and never answers, neither to us nor to the tidying."""
    with socket.create_server(("127.0.0.1", 0)) as mute, ExitStack() as kept:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        path = Path(line.environment["KUBECONFIG"])
        path.write_text(path.read_text().replace(line.cluster.url, url))
        process = line.start("exec", "demo", "--", "true")
        for _ in range(2):
            asked = kept.enter_context(mute.accept()[0])
            assert asked.recv(3) == b"GET"
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130


def test_nobody_who_reads_ends_the_command(line: Line) -> None:
    word = f"y{secrets.token_hex(8)}"
    process = line.start("exec", "demo", "--", "yes", word)
    assert process.stdout is not None
    process.stdout.read(100)
    process.stdout.close()
    assert process.wait(20) == 128 + signal.SIGPIPE
    assert process.stderr is not None
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()
    assert running(word) == []


def test_start_needs_neither_typer_nor_a_client_library(line: Line) -> None:
    """What makes it as quick as kubectl."""
    heavy = {"typer", "rich", "kubernetes", "aiohttp", "pydantic", "asyncio", "http.client"}
    program = (
        "import os, sys; leave = os._exit\n"
        "os._exit = lambda code: (sys.stderr.write(' '.join(sys.modules)), sys.stderr.flush(), "
        f"leave(code))\n{PROGRAM}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "exec", "demo", "-n", "agents", "--", "true"],
        env=line.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stderr.split())
    assert "ringfence.client.remote" in loaded
    assert loaded & (heavy | {"yaml", "pathlib", "urllib.parse"}) == set()


_WORDS = st.lists(
    st.sampled_from(
        [
            *("-i", "-t", "-it", "-ti", "--stdin", "--tty", "-n", "-nx", "-n=x", "--namespace"),
            *("--namespace=x", "--namespace=", "--context", "--context=c", "--kubeconfig", "--cwd"),
            *("--cwd=/a", "x", "demo", "--", "-", "--help", "--timeout", "5", "-e", "A=b", "ls"),
        ]
    ),
    max_size=8,
)


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_WORDS, st.lists(st.sampled_from(["a", "-n", "--", "-i"]), min_size=1, max_size=3))
def test_the_quick_way_reads_as_typer_does(
    monkeypatch: pytest.MonkeyPatch, words: list[str], command: list[str]
) -> None:
    """Whatever it understands, typer understands the same; the rest it leaves to typer."""
    seen: list[Wanted] = []

    def execute(wanted: Wanted) -> int:
        seen.append(wanted)
        return 0

    monkeypatch.setattr(remote_exec, "execute", execute)
    given_words = [*words, "--", *command]
    quick = parse(given_words)
    CliRunner().invoke(app, ["exec", *given_words])
    if quick is not None:
        assert seen == [quick]


def test_the_common_forms_are_quick() -> None:
    common = ["demo -- ls", "-it demo -- bash", "demo -n a --context=b --cwd /c -i -- cat"]
    assert all(parse(words.split()) for words in common)
    assert parse(["demo"]) is None
    assert parse(["demo", "--help", "--", "x"]) is None
