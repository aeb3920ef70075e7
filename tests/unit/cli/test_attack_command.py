"""`ringfence attack` as a user meets it: options, output, exit codes."""

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from typer.testing import CliRunner, Result

from attack.fakes import Cluster, Programs, pod
from attack.reports import report, through
from ringfence import __version__
from ringfence.attack.rows import ROWS
from ringfence.cli import attack as command
from ringfence.cli.app import app
from ringfence.kinds import POD, ApiError, Kind
from ringfence.kube_exec import Session


class Access:
    """A cluster in memory, as the command gets it."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.programs = Programs()
        self.asked: tuple[str | None, str | None] = (None, None)
        self.error: ApiError | None = None

    @asynccontextmanager
    async def session(self, kubeconfig: str | None, context: str | None) -> AsyncIterator[Session]:
        self.asked = (kubeconfig, context)
        if self.error:
            raise self.error
        yield Session(self.cluster, self.programs)  # type: ignore[arg-type]


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch) -> Access:
    made = Access()
    monkeypatch.setattr(command, "session", made.session)
    return made


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["attack", *arguments])


def test_every_row_held_is_zero(access: Access) -> None:
    done = invoke()
    assert done.exit_code == 0, done.output
    assert f"All {len(ROWS) + 2} rows held." in done.stderr
    assert all(row.name in done.stdout for row in ROWS)
    assert access.cluster.sandboxes() == []


def test_no_name_of_a_row_is_cut_on_a_narrow_terminal(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert access
    monkeypatch.setenv("COLUMNS", "110")
    shown = invoke().stdout
    assert all(row.name in shown for row in ROWS)


def test_a_row_that_does_not_hold_is_one(access: Access) -> None:
    access.programs.answers["ptrace"] = report(through())
    done = invoke()
    assert done.exit_code == 1
    assert f"1 of {len(ROWS) + 2} rows did not hold: ptrace" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--row", "no-such-row"],
        ["--target", "example.com"],
        ["--target", "2001:db8::1"],
        ["--output", "xml"],
        ["--no-such-option"],
    ],
)
def test_wrong_usage_is_two_and_makes_nothing(access: Access, arguments: list[str]) -> None:
    assert invoke(*arguments).exit_code == 2
    assert access.cluster.made == []


def test_unknown_row_is_answered_with_the_known_ones(access: Access) -> None:
    assert access
    assert "become-root" in invoke("--row", "x").stderr


def test_what_could_not_run_is_three_and_says_why(access: Access) -> None:
    access.error = ApiError(0, "NoAccess", "no cluster to talk to: \x1b[31mfile")
    done = invoke()
    assert done.exit_code == 3
    assert "no cluster to talk to:  [31mfile" in done.stderr
    assert invoke("--pod", "none").exit_code == 3


def test_forbidden_creation_is_three(access: Access) -> None:
    def forbidden(verb: str, _kind: Kind) -> ApiError | None:
        return ApiError(403, "Forbidden", "create is forbidden") if verb == "create" else None

    access.cluster.fault = forbidden
    done = invoke()
    assert done.exit_code == 3
    assert "403 Forbidden: create is forbidden" in done.stderr


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_interruption_removes_everything_and_is_130(
    access: Access, signal_: signal.Signals
) -> None:
    def interrupt(what: str) -> None:
        if what == "ptrace":
            os.kill(os.getpid(), signal_)

    access.programs.before = interrupt
    access.programs.seconds = 0.01
    done = invoke()
    assert done.exit_code == 130
    assert len(access.cluster.made) == 2
    assert access.cluster.sandboxes() == []


def test_json_is_all_that_stands_on_standard_output(access: Access) -> None:
    access.programs.answers["ptrace"] = report(through())
    done = invoke("--output", "json")
    document = json.loads(done.stdout)
    assert document["passed"] is False
    assert [row["name"] for row in document["rows"]][:12] == [row.name for row in ROWS][:12]
    assert done.exit_code == 1


def test_only_the_named_rows_run(access: Access) -> None:
    done = invoke("--row", "ptrace", "--row", "crypto-socket", "-o", "json")
    assert [row["name"] for row in json.loads(done.stdout)["rows"]] == ["ptrace", "crypto-socket"]
    assert {what for _, what in access.programs.ran} == {"prepare", "ptrace", "crypto-socket"}


def test_text_of_a_sandbox_is_no_markup(access: Access) -> None:
    access.programs.answers["ptrace"] = report(through(detail="[bold red]held[/] :smile:"))
    done = invoke("--row", "ptrace")
    assert "[bold red]held[/] :smile:" in " ".join(done.stdout.split())


def test_options_reach_the_plan(access: Access) -> None:
    access.cluster.put(POD, pod("agents", "plain"))
    done = invoke(
        *("--namespace", "agents", "--class", "strict", "--pod", "plain", "--keep"),
        *("--kubeconfig", "/k", "--context", "c", "--target", "198.51.100.7", "-o", "json"),
    )
    document = json.loads(done.stdout)
    assert document["attacker"] == {
        "namespace": "agents",
        "pod": "plain",
        "name": "agent",
        "node": "node-1",
        "ownSandbox": False,
    }
    assert document["target"] == {"address": "198.51.100.7", "known": True}
    assert access.asked == ("/k", "c")
    assert access.cluster.specs[0]["className"] == "strict"
    assert len(access.cluster.sandboxes()) == 1


def test_sandboxes_get_the_time_that_was_asked_for_and_no_more(access: Access) -> None:
    access.cluster.ready = {"type": "Ready", "status": "False", "reason": "PodNotReady"}
    done = invoke("--ready-seconds", "1")
    assert done.exit_code == 3
    assert "not within 1 s" in done.stderr


def test_help_tells_exit_codes_and_what_the_image_needs() -> None:
    text = " ".join(invoke("--help").stdout.split())
    assert "0 every row held, 1 some row did not, 2 wrong usage, 3 could not run" in text
    assert "must have Python 3" in text


def test_version_is_told() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == __version__
