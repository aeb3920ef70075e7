"""The result for programs and for people says the same."""

from attack.reports import HELD, LIMITS, report, row, through
from attack.test_runner import SCENE
from ringfence.attack.judge import judge
from ringfence.attack.model import Observed
from ringfence.attack.report import HEADINGS, closing, document, line, passed
from ringfence.attack.rows import Result


def result(name: str, seen: Observed | None = None) -> Result:
    seen = seen or HELD[name]
    return Result(row(name), judge(row(name), seen, LIMITS), 0.25, seen.attempts)


def test_nothing_run_is_not_passed() -> None:
    assert not passed([])


def test_one_row_that_does_not_hold_fails_all() -> None:
    good, bad = result("ptrace"), result("become-root", report(through()))
    assert passed([good])
    assert not passed([good, bad])
    assert closing([good, bad]) == "1 of 2 rows did not hold: become-root"
    assert closing([good]) == "All 1 rows held."


def test_line_has_a_cell_for_each_heading() -> None:
    cells = line(result("load-module"))
    assert len(cells) == len(HEADINGS)
    assert cells.stopped_by == (
        "seccomp (seccomp profile); also process (no capability, no new privileges)"
    )
    assert line(result("become-root", report(through()))).stopped_by == ""


def test_document_tells_target_limits_and_every_attempt() -> None:
    found = document(SCENE, [result("load-module")])
    assert found["passed"] is True
    assert found["attacker"]["node"] == "node-1"
    assert found["limits"]["pids"] == 256
    (entry,) = found["rows"]
    assert entry["status"] == "stopped"
    assert entry["attempts"][0]["filter"] == "EPERM"
