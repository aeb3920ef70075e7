"""Every line is one JSON object, whoever logs it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from ringfence import log


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    written = io.StringIO()
    log.configure(stream=written)
    yield written
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_libraries_and_our_own_code_log_the_same_way(stream: io.StringIO) -> None:
    logging.getLogger("kopf.activities").info("hello %s", "there")
    structlog.get_logger("ringfence.node").warning("own", count=3)
    theirs, ours = map(json.loads, stream.getvalue().splitlines())
    assert (theirs["event"], theirs["level"], theirs["logger"]) == (
        "hello there",
        "info",
        "kopf.activities",
    )
    assert (ours["event"], ours["level"], ours["count"]) == ("own", "warning", 3)
    assert theirs["timestamp"].endswith("Z")


def _refuse() -> None:
    secret = "-".join(map(str, range(3)))
    message = f"refused {len(secret)} characters"
    raise ValueError(message)


def test_an_exception_shows_its_stack_but_no_values(stream: io.StringIO) -> None:
    try:
        _refuse()
    except ValueError:
        logging.getLogger("x").exception("failed")
    line = json.loads(stream.getvalue())
    assert "ValueError: refused 5 characters" in line["exception"]
    assert "in _refuse" in line["exception"]
    assert "0-1-2" not in stream.getvalue()


def test_what_a_library_attaches_to_a_record_is_dropped(stream: io.StringIO) -> None:
    logging.getLogger("kopf.x").info("seen", extra={"body": {"data": "private"}})
    assert "private" not in stream.getvalue()


def test_a_line_per_event_of_kopf_is_not_logged(stream: io.StringIO) -> None:
    logging.getLogger("kopf.objects").info("Handler 'pods' succeeded.")
    assert stream.getvalue() == ""
