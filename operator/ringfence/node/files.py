"""Reads and writes the small files of /proc, /sys and the cgroup tree. I/O.

A process or a cgroup may go away at any moment: then there is nothing to read, which is no error.
Any other failure (a missing right, for instance) is one and is raised.
"""

import errno
import os
from typing import Final

_GONE: Final = (errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.ENOTDIR)
_CHUNK: Final = 1 << 16


def read(path: str) -> str | None:
    """The whole text; None if the file is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _all(descriptor).decode(errors="replace")
        finally:
            os.close(descriptor)
    except OSError as error:
        _pass_if_gone(error)
        return None


def _all(descriptor: int) -> bytes:
    parts = []
    while part := os.read(descriptor, _CHUNK):
        parts.append(part)
    return b"".join(parts)


def write(path: str, text: str) -> bool:
    """Writes to an existing file in one call; False if the file is gone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        _pass_if_gone(error)
        return False
    return True


def link(path: str) -> str | None:
    """Where a symbolic link leads; None if it is gone."""
    try:
        return os.readlink(path)  # noqa: PTH115 - a Path costs more than the call
    except OSError as error:
        _pass_if_gone(error)
        return None


def directories(path: str) -> list[str]:
    """Names of the directories in a directory; none if it is gone."""
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        _pass_if_gone(error)
        return []


def _pass_if_gone(error: OSError) -> None:
    if error.errno not in _GONE:
        raise error
