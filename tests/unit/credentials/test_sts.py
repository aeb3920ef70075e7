"""Which answers of STS end the matter, and which are worth another attempt."""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from ringfence.credentials.sts import RefusedError, Role, Sts, UnreachableError

ROLE = Role("arn:aws:iam::123456789012:role/x", "agents.demo", '{"Statement":[]}')
GIVEN = (
    "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
    "<AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s/+=</SecretAccessKey>"
    "<SessionToken>t/+=</SessionToken><Expiration>2026-01-01T12:15:00Z</Expiration>"
    "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
)


def _error(code: str) -> str:
    return (
        f"<ErrorResponse><Error><Code>{code}</Code><Message>why</Message></Error></ErrorResponse>"
    )


class ScriptedSts(Sts):
    """Answers with one status and text; remembers the form."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__("sts.test", Path("unused"), ssl.create_default_context())
        self._scripted = status, text
        self.form: dict[str, list[str]] = {}

    def _post(self, body: str) -> tuple[int, str]:
        self.form = parse_qs(body)
        return self._scripted


def test_answer_becomes_credentials() -> None:
    given = ScriptedSts(200, GIVEN).assume(ROLE, "token")
    assert (given.access_key_id, given.secret_access_key) == ("ASIA1", "s/+=")
    assert given.expires == datetime(2026, 1, 1, 12, 15, tzinfo=UTC)


def test_shortest_life_and_the_session_policy_are_asked_for() -> None:
    sts = ScriptedSts(200, GIVEN)
    sts.assume(ROLE, "token")
    assert sts.form["DurationSeconds"] == ["900"]
    assert sts.form["Policy"] == [ROLE.policy]
    assert sts.form["WebIdentityToken"] == ["token"]


@pytest.mark.parametrize(
    "code", ["AccessDenied", "InvalidIdentityToken", "ExpiredTokenException", "ValidationError"]
)
def test_refusal_is_told_in_the_words_of_aws(code: str) -> None:
    with pytest.raises(RefusedError, match=f"{code}: why"):
        ScriptedSts(400, _error(code)).assume(ROLE, "token")


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, _error("Throttling")),
        (400, _error("IDPCommunicationError")),
        (503, _error("ServiceUnavailable")),
        (502, "<html>bad gateway</html>"),
        (403, "a proxy said this"),
        (200, "<html>a portal</html>"),
        (200, GIVEN.replace("2026-01-01T12:15:00Z", "soon")),
        (200, GIVEN.replace("t/+=", "")),
    ],
)
def test_what_says_nothing_about_the_role_is_worth_another_attempt(status: int, text: str) -> None:
    with pytest.raises(UnreachableError):
        ScriptedSts(status, text).assume(ROLE, "token")


def test_socket_that_is_not_there_yet_is_worth_another_attempt(tmp_path: Path) -> None:
    sts = Sts("sts.test", tmp_path / "none", ssl.create_default_context())
    with pytest.raises(UnreachableError, match=r"cannot reach sts\.test"):
        sts.assume(ROLE, "token")


def test_no_error_repeats_the_token() -> None:
    for sts in (ScriptedSts(200, ""), ScriptedSts(400, _error("AccessDenied"))):
        with pytest.raises((RefusedError, UnreachableError)) as raised:
            sts.assume(ROLE, "the-token")
        assert "the-token" not in str(raised.value)
