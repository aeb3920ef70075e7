"""A report comes from a hostile place: it is cut, cleaned, and never believed by its form."""

import json

from hypothesis import given
from hypothesis import strategies as st

from attack.reports import POWERLESS
from ringfence.attack.model import Lost, Observed, Status, parse
from ringfence.printable import printable

ME = POWERLESS.model_dump(by_alias=True)


@given(st.text())
def test_no_text_steers_a_terminal(text: str) -> None:
    assert printable(text).isprintable()
    assert len(printable(text)) <= 400


@given(st.text())
def test_any_line_is_a_report_or_lost(line: str) -> None:
    assert isinstance(parse(line), Observed | Lost)


def test_escape_sequences_in_a_report_are_gone() -> None:
    attempt = {"what": "\x1b[2Jall held", "outcome": "refused", "errno": "\rEPERM"}
    seen = parse(json.dumps({"attempts": [attempt], "facts": {"\x07": "\x1b"}, "me": ME}))
    assert isinstance(seen, Observed)
    assert seen.attempts[0].what == " [2Jall held"
    assert seen.attempts[0].errno == " EPERM"
    assert seen.facts == {" ": " "}


def test_a_report_that_names_an_unknown_outcome_is_lost() -> None:
    attempt = {"what": "x", "outcome": "stopped"}
    seen = parse(json.dumps({"attempts": [attempt], "facts": {}, "me": ME}))
    assert isinstance(seen, Lost)
    assert "outcome" in seen.why


def test_a_flood_of_attempts_is_lost() -> None:
    attempts = [{"what": "x", "outcome": "refused"}] * 1001
    assert isinstance(parse(json.dumps({"attempts": attempts, "facts": {}, "me": ME})), Lost)


def test_only_stopped_tolerated_and_not_applicable_pass() -> None:
    passing = {status for status in Status if status.passed}
    assert passing == {Status.STOPPED, Status.TOLERATED, Status.NOT_APPLICABLE}
