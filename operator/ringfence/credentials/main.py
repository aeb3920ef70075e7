"""`ringfence-credentials`: keeps the file, or (`--wait`) waits until it is filled.

The kubelet runs the second as the hook that holds the agent container back. Why the first gave up
goes to the termination message, where the operator finds it: the agent writes neither.
"""

import argparse
import logging
import signal
import ssl
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ringfence.credentials.files import FORMATS, CredentialsFile
from ringfence.credentials.keeper import PATIENCE, Clock, Keeper
from ringfence.credentials.sts import RefusedError, Role, Sts, UnreachableError

_MESSAGE_LENGTH: Final = 900
_TRUSTED: Final = "/etc/ssl/certs/ca-certificates.crt"
_POLL_SECONDS: Final = 0.05
_MARGIN_SECONDS: Final = 30.0


def main() -> int:
    """Runs the program; the exit code is 0 only after a signal or a successful wait."""
    options = _parser().parse_args()
    if options.wait:
        return 0 if _filled(CredentialsFile(options.file, options.format)) else 1
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        _keeper(options).run(Clock(lambda: datetime.now(UTC), time.sleep))
    except (RefusedError, UnreachableError, OSError) as error:
        _say(options.termination_message, str(error))
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ringfence-credentials", description=__doc__)
    parser.add_argument("--wait", action="store_true", help="end once the file is filled")
    parser.add_argument("--file", type=Path, required=True, help="the file of the credentials")
    parser.add_argument("--format", choices=FORMATS, default="shared", help="what it looks like")
    parser.add_argument("--role-arn", default="", help="the role to assume")
    parser.add_argument("--session", default="", help="name of the session, for CloudTrail")
    parser.add_argument("--policy", default="", help="session policy")
    parser.add_argument("--token", type=Path, help="file of the ServiceAccount's token")
    parser.add_argument("--sts", default="", help="host of the regional endpoint")
    parser.add_argument("--trusted", default=_TRUSTED, help="certificate authorities")
    parser.add_argument("--through", type=Path, help="socket of the egress proxy")
    parser.add_argument(
        "--termination-message",
        type=Path,
        default=Path("/dev/termination-log"),
        help="why it gave up",
    )
    return parser


def _keeper(options: argparse.Namespace) -> Keeper:
    trust = ssl.create_default_context(cafile=options.trusted)
    trust.minimum_version = ssl.TLSVersion.TLSv1_2
    sts = Sts(options.sts, options.through, trust)
    role = Role(options.role_arn, options.session, options.policy)
    return Keeper(sts, role, options.token, CredentialsFile(options.file, options.format))


def _filled(file: CredentialsFile) -> bool:
    """False if the credentials take so long that the program itself has given up."""
    deadline = time.monotonic() + PATIENCE.total_seconds() + _MARGIN_SECONDS
    while time.monotonic() < deadline:
        if file.filled():
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _say(where: Path, why: str) -> None:
    line = " ".join(why.split())[:_MESSAGE_LENGTH]
    logging.getLogger(__name__).error("%s", line)
    where.write_text(line)


if __name__ == "__main__":
    sys.exit(main())
