"""Reads a tar archive that a hostile program wrote. Pure: what is to be made, a Landing makes.

Only what a copy needs is understood: files, directories, links, and the two ways in which long
names are written. Names that lead elsewhere, devices, sparse files and all else are skipped and
counted. Nothing that the archive claims decides how much memory is used.
"""

import tarfile
from typing import Final, NamedTuple, Protocol

from ringfence.sdk.errors import FileError

_BLOCK: Final = 512
_LONGEST_NAME: Final = 4096
_LONGEST_HEADER: Final = 64 * 1024
_LONGEST_TRAILER: Final = 1024 * 1024
_NAME_HEADERS: Final = {b"L": "path", b"K": "linkpath"}
_FILES: Final = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)

Parts = tuple[str, ...]


class Limits(NamedTuple):
    """How much is taken."""

    size: int = 8 * 1024**3
    entries: int = 1_000_000


class Sink(Protocol):
    """What becomes of the entries."""

    def directory(self, parts: Parts) -> None:
        """Makes a directory."""

    def begin(self, parts: Parts, *, executable: bool) -> None:
        """Begins a file."""

    def write(self, data: bytes) -> None:
        """The next bytes of the file that was begun."""

    def finish(self) -> None:
        """The file is complete."""

    def symlink(self, parts: Parts, target: str) -> None:
        """Makes a symbolic link, if that leads nowhere else."""

    def copy(self, parts: Parts, source: Parts) -> int:
        """Copies a file that was made before; how large it is."""

    def skip(self, name: str, why: str) -> None:
        """Notes an entry that is left out."""


class Unpacker:
    """Takes an archive piece by piece."""

    def __init__(self, sink: Sink, limits: Limits) -> None:
        self._sink = sink
        self._room = limits.size
        self._entries = limits.entries
        self._buffer = bytearray()
        self._left = 0
        self._padding = 0
        self._open = False
        self._header: tuple[bytes, int] | None = None
        self._long: dict[str, str] = {}
        self._over = False
        self._trailer = 0

    def feed(self, data: bytes) -> None:
        """The next piece.

        Raises:
            FileError: It is no archive, or larger than the limits.
        """
        if self._over:
            self._trailer += len(data)
            if self._trailer > _LONGEST_TRAILER:
                message = "the archive does not end where it says"
                raise FileError(message)
            return
        self._buffer += data
        while not self._over and self._step():
            pass

    @property
    def complete(self) -> bool:
        """Whether the end of the archive was seen."""
        return self._over

    def _step(self) -> bool:
        """Whether there is more to do with what is there."""
        if self._left:
            return self._body()
        if self._open:
            self._sink.finish()
            self._open = False
        if self._padding:
            taken = min(self._padding, len(self._buffer))
            del self._buffer[:taken]
            self._padding -= taken
            return taken > 0
        if self._header:
            return self._long_name(*self._header)
        return self._entry()

    def _body(self) -> bool:
        data = bytes(self._buffer[: self._left])
        del self._buffer[: len(data)]
        self._left -= len(data)
        if self._open and data:
            self._sink.write(data)
        return bool(data)

    def _entry(self) -> bool:
        if len(self._buffer) < _BLOCK:
            return False
        block = bytes(self._buffer[:_BLOCK])
        del self._buffer[:_BLOCK]
        if not any(block):
            self._over = True
            return False
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            message = f"what came is no tar archive: {error}"
            raise FileError(message) from error
        self._count(info)
        return True

    def _count(self, info: tarfile.TarInfo) -> None:
        self._entries -= 1
        if info.size < 0 or self._entries < 0:
            message = "the archive has too many entries, or one of a negative size"
            raise FileError(message)
        if info.type in _NAME_HEADERS or info.type in (tarfile.XHDTYPE, tarfile.XGLTYPE):
            if info.size > _LONGEST_HEADER:
                message = f"the archive has a header of {info.size} bytes"
                raise FileError(message)
            self._header = (info.type, info.size)
            return
        self._take(info)

    def _long_name(self, kind: bytes, size: int) -> bool:
        """The name of the next entry, or several things about it."""
        if len(self._buffer) < size:
            return False
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._header, self._padding = None, -size % _BLOCK
        if kind in _NAME_HEADERS:
            self._long[_NAME_HEADERS[kind]] = _text(data.split(b"\0")[0])
        elif kind == tarfile.XHDTYPE:
            self._long |= _records(data)
        return True

    def _take(self, info: tarfile.TarInfo) -> None:
        long, self._long = self._long, {}
        if "size" in long:
            info.size = _number(long["size"])
        name, target = long.get("path", info.name), long.get("linkpath", info.linkname)
        # Only files bring a body; a size elsewhere would make two readers see two archives.
        size = info.size if info.type not in (tarfile.LNKTYPE, tarfile.SYMTYPE) else 0
        self._claim(size)
        self._left, self._padding = size, -size % _BLOCK
        if any(key.startswith("GNU.sparse") for key in long):
            self._sink.skip(name, "a sparse file")
            return
        if reason := unsafe(name):
            self._sink.skip(name, reason)
            return
        self._make(info, parts(name), name, target)

    def _make(self, info: tarfile.TarInfo, where: Parts, name: str, target: str) -> None:
        if info.type == tarfile.DIRTYPE:
            self._sink.directory(where)
        elif not where:
            self._sink.skip(name, "a name that is none")
        elif info.type in _FILES:
            self._sink.begin(where, executable=bool(info.mode & 0o100))
            self._open = True
        elif info.type == tarfile.SYMTYPE:
            self._sink.symlink(where, target)
        elif info.type == tarfile.LNKTYPE and not unsafe(target):
            self._claim(self._sink.copy(where, parts(target)))
        else:
            self._sink.skip(name, "neither file, directory nor link")

    def _claim(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            message = "more comes out of the Sandbox than the limit permits; raise it with --limit"
            raise FileError(message)


def parts(name: str) -> Parts:
    """The components of a name."""
    return tuple(part for part in name.split("/") if part not in ("", "."))


def unsafe(name: str) -> str:
    """Why a name is not used; empty if it is."""
    if len(name) > _LONGEST_NAME:
        return "its name is too long"
    if name.startswith("/") or ".." in name.split("/"):
        return "its name leads out of the directory"
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in name):  # noqa: PLR2004 - ASCII
        return "its name holds control characters"
    return ""


def leads_outside(where: Parts, target: str) -> bool:
    """Whether a link may lead out of the top directory.

    `..` counts only at the beginning, where real directories lie above; behind a name it would
    start from wherever that name leads.
    """
    if not target or target.startswith("/") or "\0" in target or len(target) > _LONGEST_NAME:
        return True
    steps = parts(target)
    up = next((n for n, step in enumerate(steps) if step != ".."), len(steps))
    return ".." in steps[up:] or up > len(where) - 1


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _records(data: bytes) -> dict[str, str]:
    """The records of a pax header: LENGTH KEY=VALUE and a line feed."""
    found: dict[str, str] = {}
    while data.strip(b"\0"):
        digits, _, rest = data.partition(b" ")
        length = _number(_text(digits))
        record, data = data[len(digits) + 1 : length - 1], data[length:]
        key, equals, value = record.partition(b"=")
        if not equals or length <= len(digits) + 1 or not rest:
            message = "the archive has a header that does not read"
            raise FileError(message)
        found[_text(key)] = _text(value)
    return found


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):  # noqa: PLR2004 - 64 bits
        message = "the archive has a header that does not read"
        raise FileError(message)
    return int(text)
