"""Makes a tar archive of local files, piece by piece as it is sent. I/O: reads them."""

import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ringfence.sdk.errors import FileError

_PIECE: Final = 256 * 1024
_BLOCK: Final = 512
_END: Final = bytes(2 * _BLOCK)

Skip = Callable[[str, str], object]


def packed(root: Path, skip: Skip) -> Iterator[bytes]:
    """The archive of what is below a directory; `skip` hears of what is left out.

    Raises:
        FileError: A file could not be read, or changed meanwhile.
    """
    for path in _below(root):
        name = str(path.relative_to(root))
        try:
            yield from _entry(path, name, skip)
        except OSError as error:
            message = f"{path}: {error.strerror}"
            raise FileError(message) from error
    yield _END


def _below(root: Path) -> Iterator[Path]:
    with os.scandir(root) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        yield Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path))


def _entry(path: Path, name: str, skip: Skip) -> Iterator[bytes]:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        yield _header(name, found, tarfile.SYMTYPE, target=str(path.readlink()))
    elif stat.S_ISDIR(found.st_mode):
        yield _header(name, found, tarfile.DIRTYPE)
    elif stat.S_ISREG(found.st_mode):
        yield from _file(path, name)
    else:
        skip(name, "neither file, directory nor link")


def _file(path: Path, name: str) -> Iterator[bytes]:
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        yield _header(name, found, tarfile.REGTYPE)
        left = found.st_size
        while left:
            piece = file.read(min(left, _PIECE))
            if not piece:
                message = f"{path} became shorter while it was read"
                raise FileError(message)
            left -= len(piece)
            yield piece
        yield bytes(-found.st_size % _BLOCK)


def _header(name: str, found: os.stat_result, kind: bytes, target: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = stat.S_IMODE(found.st_mode) & 0o777
    info.mtime = int(found.st_mtime)
    info.size = found.st_size if kind == tarfile.REGTYPE else 0
    info.linkname = target
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
