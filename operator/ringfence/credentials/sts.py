"""Asks STS for credentials of a role, with the token of the Sandbox's ServiceAccount.

The request needs no signature: the token is the proof. The egress proxy only carries the bytes;
the certificate of STS is verified here. No retry and no clock: that is keeper.py.
"""

import http.client
import re
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

SESSION_SECONDS: Final = 900
"""The shortest life that STS gives to credentials."""

_TIMEOUT_SECONDS: Final = 10.0
_MAX_ANSWER_BYTES: Final = 65536
_SERVER_ERROR: Final = 500
_PASSING: Final = frozenset({"Throttling", "ThrottlingException", "IDPCommunicationError"})
"""Refusals that say nothing about the role."""


@dataclass(frozen=True)
class Role:
    """What is asked for."""

    arn: str
    session: str
    policy: str
    """Session policy: what the credentials may do at most."""


@dataclass(frozen=True)
class Credentials:
    """What STS gave."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires: datetime


class RefusedError(Exception):
    """STS says no, in its own words; asking again soon cannot help."""


class UnreachableError(Exception):
    """STS was not reached, or could not answer; the next attempt may succeed."""


class Sts:
    """The way to one regional endpoint of STS."""

    def __init__(self, host: str, through: Path, trust: ssl.SSLContext) -> None:
        self._host = host
        self._through = through
        self._trust = trust

    def assume(self, role: Role, token: str) -> Credentials:
        """Credentials of the role, for SESSION_SECONDS.

        Raises:
            RefusedError: STS does not give them.
            UnreachableError: It is not known whether STS would.
        """
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "DurationSeconds": SESSION_SECONDS,
            "RoleArn": role.arn,
            "RoleSessionName": role.session,
            "Policy": role.policy,
            "WebIdentityToken": token,
        }
        status, text = self._post(urlencode(form))
        if status == HTTPStatus.OK:
            return _credentials(text)
        raise _error(status, text, self._host)

    def _post(self, body: str) -> tuple[int, str]:
        connection = _Through(self._host, self._through, self._trust)
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        try:
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(_MAX_ANSWER_BYTES).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            message = f"cannot reach {self._host}: {_said(error)}"
            raise UnreachableError(message) from error
        finally:
            connection.close()


class _Through(http.client.HTTPSConnection):
    """HTTPS whose bytes go through a Unix socket."""

    def __init__(self, host: str, through: Path, trust: ssl.SSLContext) -> None:
        super().__init__(host, timeout=_TIMEOUT_SECONDS, context=trust)
        self._path, self._trust = through, trust

    def connect(self) -> None:
        """Dial the proxy's socket, and speak TLS with whoever is behind it."""
        plain = socket.socket(socket.AF_UNIX)
        try:
            plain.settimeout(self.timeout)
            plain.connect(str(self._path))
            self.sock = self._trust.wrap_socket(plain, server_hostname=self.host)
        except OSError:
            plain.close()
            raise


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _credentials(text: str) -> Credentials:
    try:
        expires = datetime.fromisoformat(_element(text, "Expiration"))
        return Credentials(
            _element(text, "AccessKeyId"),
            _element(text, "SecretAccessKey"),
            _element(text, "SessionToken"),
            expires,
        )
    except ValueError as error:
        message = f"STS answered without credentials: {error}"
        raise UnreachableError(message) from error


def _element(text: str, name: str) -> str:
    """The text of an element; STS writes each of these once, without attributes or escapes."""
    found = re.search(rf"<{name}>\s*([^<&\s]+)\s*</{name}>", text)
    if found is None:
        message = f"no element {name}"
        raise ValueError(message)
    return found[1]


def _error(status: int, text: str, host: str) -> Exception:
    code = re.search(r"<Code>([^<]*)</Code>", text)
    message = re.search(r"<Message>([^<]*)</Message>", text)
    said = f"{code[1]}: {message[1] if message else ''}" if code else f"status {status}"
    if status >= _SERVER_ERROR or code is None or code[1] in _PASSING:
        return UnreachableError(f"{host} answered {said}")
    return RefusedError(said)
