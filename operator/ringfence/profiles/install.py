"""`ringfence-profiles`: keep this node's seccomp profile in place, as a container on every node.

Writes exactly one file, `<seccomp root>/ringfence/sandbox-agent-<hash>.json`, and puts it back
when it was removed or altered. It never deletes: a Pod of an older release reads its own profile
again at each container start. It must not talk to the Kubernetes API and must not import kopf,
kubernetes or pydantic, because its memory is paid on every node.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import signal
import stat
import sys
import time
from pathlib import Path
from typing import Final

from ringfence.profiles.seccomp import Arch, localhost_profile, render

_MODE: Final = 0o644
_DIRECTORY_MODE: Final = 0o755
_STOP: Final = (signal.SIGTERM, signal.SIGINT)
_DEFAULT_ROOT: Final = "/var/lib/kubelet/seccomp"
_DEFAULT_INTERVAL: Final = 5.0


class NotInstalledError(Exception):
    """The profile is not in place; the message names the file and the way out."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = _parser().parse_args(arguments)
    # Blocked before anything else, so that a signal during the first write is not lost and none
    # can end a write half way. A blocked signal also reaches process 1 of a container.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    try:
        return _run(options)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(options: argparse.Namespace) -> int:
    try:
        content = render(node_arch(platform.machine()))
    except NotInstalledError as error:
        _log("error", "profile unavailable", reason=str(error))
        return 1
    path = options.seccomp_root / localhost_profile()
    installed = _attempt(path, content)
    if options.once:
        return 0 if installed else 1
    while signal.sigtimedwait(_STOP, options.interval) is None:
        _attempt(path, content)
    _log("info", "stopped", path=str(path))
    return 0


def node_arch(machine: str) -> Arch:
    """Return the architecture for what `uname -m` says.

    Raises:
        NotInstalledError: If there is no profile for it.
    """
    try:
        return Arch(machine)
    except ValueError:
        known = ", ".join(Arch)
        message = f"no profile for {machine!r} nodes, only {known}; keep sandboxes off this node"
        raise NotInstalledError(message) from None


def ensure(path: Path, content: bytes) -> bool:
    """Make the file hold exactly this content; return whether it had to be written.

    A wrong file is replaced, never written to: a container that starts at this moment reads
    either the old file or the new one.

    Raises:
        NotInstalledError: If the file is not in place afterwards.
    """
    if _is_right(path, content):
        return False
    try:
        path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        _replace(path, content)
    except OSError as error:
        message = f"{path}: {error.strerror}; mount the kubelet's seccomp directory writable here"
        raise NotInstalledError(message) from error
    if not _is_right(path, content):
        message = f"{path}: reads back differently; something else writes this file, remove it"
        raise NotInstalledError(message)
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ringfence-profiles", description=__doc__)
    parser.add_argument(
        "--seccomp-root",
        type=Path,
        default=Path(_DEFAULT_ROOT),
        help="the kubelet's <root-dir>/seccomp as seen from here (default: %(default)s)",
    )
    parser.add_argument(
        "--interval",
        type=_seconds,
        default=_DEFAULT_INTERVAL,
        help="seconds between two checks of the file (default: %(default)s)",
    )
    parser.add_argument("--once", action="store_true", help="install, verify and end")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:  # noqa: PLR2004 - an hour, said in the message
        message = f"{text}: must be above 0 and at most 3600 seconds"
        raise argparse.ArgumentTypeError(message)
    return seconds


def _attempt(path: Path, content: bytes) -> bool:
    existed = path.exists()
    try:
        written = ensure(path, content)
    except NotInstalledError as error:
        _log("error", "profile not installed", reason=str(error))
        return False
    if written:
        event = "profile repaired" if existed else "profile installed"
        _log("info", event, path=str(path), sha256=hashlib.sha256(content).hexdigest())
    return True


def _is_right(path: Path, content: bytes) -> bool:
    """Say whether a regular file (no link) of the right mode holds exactly the content."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        mode = os.fstat(descriptor).st_mode
        regular = stat.S_ISREG(mode) and stat.S_IMODE(mode) == _MODE
        # One byte more than expected is enough to see that a file is too long.
        return regular and os.read(descriptor, len(content) + 1) == content
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes) -> None:
    # The process id is the same after each restart in a container, so a leftover is found again.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        _write(temporary, content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, _MODE)  # whatever the umask says
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(directory: Path) -> None:
    """Make the new name survive a power cut as well."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _log(level: str, event: str, **fields: str) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = json.dumps({"timestamp": now, "level": level, "event": event, **fields})
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
