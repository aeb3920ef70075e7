"""The seccomp files on this node: puts them in place, verifies them, removes unused old ones. I/O.

A file is never edited: a container that starts at this moment reads either the old one or the new
one. Its name hashes its content, so another content always has another name.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ringfence.profiles.provider import seccomp_fault
from ringfence.profiles.seccomp import DIRECTORY, Arch, localhost_profile, render

_MODE: Final = 0o644
_DIRECTORY_MODE: Final = 0o755
_OURS: Final = "sandbox-agent-*.json"
_LONGEST: Final = 1 << 20


class NotInstalledError(Exception):
    """A profile is not in place; the message names the file and the way out."""


def builtin_profiles(machine: str) -> dict[str, bytes]:
    """Name, as a Pod says it, and content of every profile of this release.

    Args:
        machine: What `uname -m` says.

    Raises:
        NotInstalledError: If there is no profile for it.
    """
    try:
        return {localhost_profile(): render(Arch(machine))}
    except ValueError:
        known = ", ".join(Arch)
        message = f"no profile for {machine!r} nodes, only {known}; keep sandboxes off this node"
        raise NotInstalledError(message) from None


class SeccompStore:
    """The kubelet's seccomp directory."""

    def __init__(self, root: Path, own: Mapping[str, bytes], foreign: tuple[str, ...]) -> None:
        """Remembers what should be there.

        Args:
            root: The directory.
            own: Name and content of what we put there.
            foreign: Names of what somebody else puts there.
        """
        self._root = root
        self._own = own
        self._foreign = foreign
        self._unused_since: dict[Path, float] = {}
        self.repairs = 0
        """How often a file was put back that had been in place before."""
        self._seen: set[str] = set()

    def directories(self) -> list[Path]:
        """What to watch for changes."""
        parents = {(self._root / name).parent for name in (*self._own, *self._foreign)}
        return [self._root, *sorted(parents)]

    def check(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names that are in place and verified, and what is wrong with the others."""
        good, bad = [], []
        for name in (*self._own, *self._foreign):
            try:
                self._check(name)
                good.append(name)
            except NotInstalledError as error:
                bad.append(str(error))
        return tuple(good), tuple(bad)

    def _check(self, name: str) -> None:
        path = self._root / name
        if name not in self._own:
            verify(path)
            return
        if ensure(path, self._own[name]):
            self.repairs += name in self._seen
        self._seen.add(name)

    def sweep(self, used: frozenset[str], seconds: float, now: float) -> list[Path]:
        """Removes our files of other releases that no Pod of the node has used for some time.

        Args:
            used: Names that Pods of this node say.
            seconds: How long a file must have been unused.
            now: Monotonic time.
        """
        keep = {self._root / name for name in (*self._own, *self._foreign, *used)}
        old = set((self._root / DIRECTORY).glob(_OURS)) - keep if self._own else set()
        self._unused_since = {path: self._unused_since.get(path, now) for path in old}
        gone = [path for path, since in self._unused_since.items() if now - since >= seconds]
        for path in gone:
            path.unlink(missing_ok=True)
        return gone


def ensure(path: Path, content: bytes) -> bool:
    """Make the file hold exactly this content; return whether it had to be written.

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


def verify(path: Path) -> None:
    """Check a file that somebody else put in place.

    Raises:
        NotInstalledError: If it is missing, can be written by others, or is no strict profile.
    """
    content = _content(path, _LONGEST)
    if content is None:
        message = f"{path}: no regular file that others cannot write; install it"
        raise NotInstalledError(message)
    if fault := seccomp_fault(content):
        message = f"{path}: {fault}"
        raise NotInstalledError(message)


def _is_right(path: Path, content: bytes) -> bool:
    # One byte more than expected is enough to see that a file is too long.
    return _content(path, len(content) + 1, _MODE) == content


def _content(path: Path, most: int, mode: int | None = None) -> bytes | None:
    """What a regular file (no link) holds, unless others could write it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        permissions = stat.S_IMODE(found.st_mode)
        right = permissions == mode if mode is not None else not permissions & 0o022
        if not stat.S_ISREG(found.st_mode) or not right:
            return None
        return os.read(descriptor, most)
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes) -> None:
    # Always the same name, so that a leftover of a crash is found again.
    temporary = path.with_name(f".{path.name}.tmp")
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
