"""When credentials are fetched, renewed, given up and taken away."""

import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ringfence.credentials.files import NONE, CredentialsFile
from ringfence.credentials.keeper import PATIENCE, Clock, Keeper
from ringfence.credentials.sts import Credentials, RefusedError, Role, Sts, UnreachableError

START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
LIFE = timedelta(minutes=15)
ROLE = Role("arn:aws:iam::123456789012:role/x", "agents.demo", "{}")


class FakeTime:
    """A clock that sleeping moves; it stops the program after a while."""

    def __init__(self, until: timedelta = timedelta(hours=1)) -> None:
        self.now, self._end = START, START + until

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        if self.now > self._end:
            raise KeyboardInterrupt

    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep)


class FakeSts(Sts):
    """Answers as a test says, and remembers when it was asked, and with which token."""

    def __init__(self, time: FakeTime, answer: Callable[[int], Exception | None]) -> None:
        self._time, self._answer = time, answer
        self.asked: list[datetime] = []
        self.tokens: list[str] = []

    def assume(self, role: Role, token: str) -> Credentials:
        assert role == ROLE
        self.asked.append(self._time.now)
        self.tokens.append(token)
        if error := self._answer(len(self.asked)):
            raise error
        return Credentials(f"ASIA{len(self.asked)}", "secret", "session", self._time.now + LIFE)


class Case:
    """A keeper in a directory, with all that it works with."""

    def __init__(self, directory: Path, answer: Callable[[int], Exception | None]) -> None:
        self.time = FakeTime()
        self.sts = FakeSts(self.time, answer)
        self.token, self.file = directory / "token", directory / "credentials"
        self.token.write_text("t1")
        self.keeper = Keeper(self.sts, ROLE, self.token, CredentialsFile(self.file, "shared"))

    def run(self) -> None:
        self.keeper.run(self.time.clock())


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Case]:
    return lambda answer=lambda _: None: Case(tmp_path, answer)


def test_credentials_are_renewed_five_minutes_before_they_expire(make: Callable[..., Case]) -> None:
    case = make()
    with pytest.raises(KeyboardInterrupt):
        case.run()
    assert [t - START for t in case.sts.asked] == [timedelta(minutes=10 * n) for n in range(7)]
    assert "ASIA7" in case.file.read_text()


def test_token_is_read_anew_each_time(make: Callable[..., Case]) -> None:
    case = make()
    case.sts._answer = lambda n: case.token.write_text(f"t{n + 1}") and None
    with pytest.raises(KeyboardInterrupt):
        case.run()
    assert case.sts.tokens[:3] == ["t1", "t2", "t3"]


def test_refusal_takes_the_credentials_away_at_once(make: Callable[..., Case]) -> None:
    case = make(lambda n: RefusedError("AccessDenied: no") if n == 2 else None)
    with pytest.raises(RefusedError, match="AccessDenied: no"):
        case.run()
    assert len(case.sts.asked) == 2
    assert case.file.read_text() == NONE


def test_sts_may_be_out_of_reach_while_the_proxy_starts(make: Callable[..., Case]) -> None:
    case = make(lambda n: UnreachableError("no socket") if n < 20 else None)
    with pytest.raises(KeyboardInterrupt):
        case.run()
    assert "ASIA" in case.file.read_text()


def test_first_credentials_that_take_too_long_are_given_up(make: Callable[..., Case]) -> None:
    case = make(lambda _: UnreachableError("cannot reach sts"))
    with pytest.raises(UnreachableError):
        case.run()
    assert PATIENCE <= case.time.now - START < PATIENCE + timedelta(seconds=10)
    assert case.file.read_text() == NONE


def test_outage_of_four_minutes_goes_unnoticed(make: Callable[..., Case]) -> None:
    case = make()
    down = START + timedelta(minutes=10)
    case.sts._answer = lambda _: (
        UnreachableError("down") if down <= case.time.now < down + timedelta(minutes=4) else None
    )
    with pytest.raises(KeyboardInterrupt):
        case.run()
    assert "ASIA" in case.file.read_text()


def test_credentials_do_not_outlive_their_expiry_in_an_outage(make: Callable[..., Case]) -> None:
    case = make(lambda n: UnreachableError("down") if n > 1 else None)
    with pytest.raises(UnreachableError):
        case.run()
    assert case.time.now - START <= LIFE + timedelta(seconds=15)
    assert case.file.read_text() == NONE


def test_file_is_for_the_reader_and_its_group_alone(make: Callable[..., Case]) -> None:
    case = make()
    with pytest.raises(KeyboardInterrupt):
        case.run()
    assert stat.S_IMODE(case.file.stat().st_mode) == 0o640
    assert [p.name for p in case.file.parent.iterdir() if p.name.startswith(".")] == []


def test_sdks_are_told_when_to_read_again(tmp_path: Path) -> None:
    file = CredentialsFile(tmp_path / "credentials", "process")
    file.prepare()
    file.write(Credentials("ASIA1", "secret", "session", START))
    said = json.loads((tmp_path / "credentials").read_text())
    assert (said["Version"], said["Expiration"]) == (1, "2026-01-01T12:00:00Z")
    config = (tmp_path / "config").read_text()
    assert f"credential_process = cat {tmp_path}/credentials" in config
    assert "ASIA" not in config


def test_empty_or_absent_file_holds_no_credentials(tmp_path: Path) -> None:
    file = CredentialsFile(tmp_path / "credentials", "shared")
    assert not file.filled()
    file.clear()
    assert not file.filled()
    file.write(Credentials("ASIA1", "secret", "session", START))
    assert file.filled()
