"""The file of the credentials, replaced as a whole or emptied. The only writer of it.

Readers see the old content or the new one, never a part. It lies in memory, in a volume that only
its reader mounts beside this program.
"""

import json
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Final

from ringfence.credentials.sts import Credentials

NONE: Final = "[default]\n"
"""No credentials. Not an empty file: Envoy would go on with the ones that it read before."""

_MODE: Final = 0o640
"""The reader may belong to the group of the volume only."""


def shared_file(given: Credentials) -> str:
    """As the egress proxy reads it: the shared credentials file of AWS."""
    lines = [
        "[default]",
        f"aws_access_key_id = {given.access_key_id}",
        f"aws_secret_access_key = {given.secret_access_key}",
        f"aws_session_token = {given.session_token}",
    ]
    return "\n".join([*lines, ""])


def process_output(given: Credentials) -> str:
    """As SDKs read it from a `credential_process`: it tells them when to read again."""
    fields = {
        "Version": 1,
        "AccessKeyId": given.access_key_id,
        "SecretAccessKey": given.secret_access_key,
        "SessionToken": given.session_token,
        "Expiration": given.expires.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return json.dumps(fields)


FORMATS: Final[dict[str, Callable[[Credentials], str]]] = {
    "shared": shared_file,
    "process": process_output,
}


class CredentialsFile:
    """One file, in one format."""

    def __init__(self, path: Path, form: str) -> None:
        self._path = path
        self._text = FORMATS[form]

    def prepare(self) -> None:
        """Tell SDKs, which look for a file `config` beside it, how to read it again and again."""
        if self._text is process_output:
            config = self._path.with_name("config")
            config.write_text(f"{NONE}credential_process = cat {self._path}\n")
            config.chmod(_MODE)

    def filled(self) -> bool:
        """True if there are credentials in it."""
        return self._path.exists() and self._path.read_text() not in {"", NONE}

    def write(self, given: Credentials) -> None:
        """Put these credentials in place of whatever was there."""
        self._replace(self._text(given))

    def clear(self) -> None:
        """Take them away."""
        self._replace(NONE)

    def _replace(self, text: str) -> None:
        fresh = self._path.with_name(f".{self._path.name}.new")
        fresh.touch(mode=_MODE)
        fresh.chmod(_MODE)
        fresh.write_text(text)
        fresh.rename(self._path)
