"""How the threads talk: the mailbox wakes, the outbox tells every outcome, endpoints answer."""

import json
import logging
import os
import select
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from ringfence.node import endpoints, log
from ringfence.node.api import ApiError, Client, Unreachable
from ringfence.node.mailbox import Mailbox
from ringfence.node.outbox import Outbox, Written
from ringfence.node.watches import CHILDREN, CONTENT, EVERYTHING, Watches


def test_message_wakes_and_comes_in_order() -> None:
    mailbox: Mailbox[int] = Mailbox()
    assert mailbox.take() == []
    for number in range(3):
        mailbox.put(number)
    assert select.select([mailbox], [], [], 0)[0]
    assert mailbox.take() == [0, 1, 2]
    assert not select.select([mailbox], [], [], 0)[0]
    os.close(mailbox.fileno())


def test_message_of_another_thread_wakes() -> None:
    mailbox: Mailbox[str] = Mailbox()
    threading.Timer(0.05, mailbox.put, ("hello",)).start()
    assert select.select([mailbox], [], [], 10)[0]
    assert mailbox.take() == ["hello"]
    os.close(mailbox.fileno())


@pytest.mark.parametrize("error", [ApiError(403, "no"), Unreachable("down")])
def test_failed_write_is_told_and_does_not_end_the_thread(error: Exception) -> None:
    told: list[Written] = []

    def fail(_: Client) -> None:
        raise error

    outbox = Outbox(Client.__new__(Client), told.append)
    outbox.put("a", fail)
    outbox.put("b", lambda _: {"done": True})
    outbox.work_one()
    outbox.work_one()
    assert told == [Written("a", None, str(error)), Written("b", {"done": True}, None)]


@pytest.fixture
def url() -> Iterator[str]:
    answers = {
        "/well": endpoints.verdict(lambda: None),
        "/ill": endpoints.verdict(lambda: "it hangs"),
        "/metrics": lambda: (HTTPStatus.OK, b"a 1\n"),
    }
    server = endpoints.server(0, answers)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_endpoints_say_how_it_is(url: str) -> None:
    assert _get(f"{url}/well") == (200, "ok\n")
    assert _get(f"{url}/ill") == (503, "it hangs\n")
    assert _get(f"{url}/metrics") == (200, "a 1\n")
    assert _get(f"{url}/../etc/passwd")[0] == 404


@pytest.fixture
def watches() -> Iterator[Watches]:
    found = Watches()
    yield found
    found.close()


def test_new_directory_is_noticed_under_its_key(watches: Watches, tmp_path: Path) -> None:
    assert watches.watch(str(tmp_path), CHILDREN, "cgroups")
    assert not watches.watch(str(tmp_path), CHILDREN, "cgroups")
    (tmp_path / "pod").mkdir()
    assert select.select([watches], [], [], 1)[0]
    assert watches.changes() == {"cgroups"}
    assert watches.changes() == set()


def test_write_to_a_limit_is_noticed_and_reading_is_not(watches: Watches, tmp_path: Path) -> None:
    path = tmp_path / "pids.max"
    path.write_text("1")
    watches.watch(str(path), CONTENT, "pod")
    path.read_text()
    assert watches.changes() == set()
    path.write_text("2")
    assert watches.changes() == {"pod"}


@pytest.mark.parametrize("change", ["unlink", "chmod", "rename", "write"])
def test_any_change_of_a_profile_is_noticed(watches: Watches, tmp_path: Path, change: str) -> None:
    path = tmp_path / "profile.json"
    path.touch()
    watches.watch(str(tmp_path), EVERYTHING, "profiles")
    {
        "unlink": path.unlink,
        "chmod": lambda: path.chmod(0o600),
        "rename": lambda: path.rename(tmp_path / "other"),
        "write": lambda: path.write_text("x"),
    }[change]()
    assert watches.changes() == {"profiles"}


def test_directory_that_was_made_anew_is_watched_anew(watches: Watches, tmp_path: Path) -> None:
    path = tmp_path / "pod"
    path.mkdir()
    watches.watch(str(path), EVERYTHING, "pod")
    path.rmdir()
    watches.changes()
    path.mkdir()
    assert watches.watch(str(path), EVERYTHING, "pod")
    (path / "x").touch()
    assert watches.changes() == {"pod"}


def test_directory_that_was_moved_away_is_watched_no_more(watches: Watches, tmp_path: Path) -> None:
    path = tmp_path / "ringfence"
    path.mkdir()
    watches.watch(str(path), EVERYTHING, "profiles")
    path.rename(tmp_path / "away")
    assert watches.changes() == {"profiles"}
    watches.changes()
    path.mkdir()
    assert watches.watch(str(path), EVERYTHING, "profiles")


def test_what_is_not_there_cannot_be_watched(watches: Watches, tmp_path: Path) -> None:
    assert not watches.watch(str(tmp_path / "none"), CHILDREN, "x")


def test_log_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    try:
        log.configure()
        try:
            raise ValueError("two\nlines")  # noqa: EM101, TRY003, TRY301
        except ValueError:
            logging.getLogger("x").exception("it %s", "failed")
    finally:
        root.handlers[:] = before
    line: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (line["level"], line["event"]) == ("error", "it failed")
    assert "two\nlines" in line["exception"]
