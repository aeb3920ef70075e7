"""Files in a Sandbox. I/O."""

import stat
from collections.abc import Iterator
from os import PathLike
from typing import BinaryIO, Final, Literal, NamedTuple, overload

from ringfence.sdk import copying
from ringfence.sdk.errors import FileError
from ringfence.sdk.place import Place
from ringfence.sdk.shell import Piece, inside, kept
from ringfence.sdk.unpack import Limits

LONGEST: Final = 100 * 1024 * 1024
"""Bytes that `read` returns unless somebody says otherwise."""
_LONGEST_LIST: Final = 16 * 1024 * 1024
_PIECE: Final = 256 * 1024

_READ: Final = '[ -e "$1" ] || exit 44; exec cat "$1"'
_EXISTS: Final = '[ -e "$1" ] || [ -L "$1" ] || exit 44'
_MAKE: Final = 'exec mkdir -p "$1"'
_REMOVE: Final = '[ -e "$1" ] || [ -L "$1" ] || exit 44; exec rm -rf "$1"'
_RENAME: Final = '[ -e "$1" ] || [ -L "$1" ] || exit 44; exec mv -f "$1" "$2"'

# For each pattern: names, each with a NUL; one more NUL; mode, size and time of each; a NUL.
_LIST: Final = r"""
[ -d "$1" ] || exit 44
cd "$1" || exit 1
group() {
    [ -e "$1" ] || [ -L "$1" ] || return 0
    printf '%s\0' "$@"
    printf '\0'
    stat -c '%f %s %Y' "$@" || return 1
    printf '\0'
}
group ./* && group ./.[!.]* && group ./..?*
"""


class FileInfo(NamedTuple):
    """One entry of a directory.

    Attributes:
        name: Its name. A hostile program chose it.
        kind: What it is.
        size: In bytes.
        mode: Permission bits.
        modified: Seconds since 1970.
    """

    name: str
    kind: Literal["file", "directory", "symlink", "other"]
    size: int
    mode: int
    modified: int


class Files:
    """Files of one Sandbox. Relative paths start in the agent's directory, /work."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @overload
    def read(self, path: str, format: Literal["text"] = ..., limit: int = ...) -> str: ...
    @overload
    def read(self, path: str, format: Literal["bytes"], limit: int = ...) -> bytes: ...
    def read(
        self,
        path: str,
        format: Literal["text", "bytes"] = "text",  # noqa: A002 - as users know it
        limit: int = LONGEST,
    ) -> str | bytes:
        """What a file holds. Needs `cat`.

        Raises:
            NotFound: There is no such file.
            FileError: It cannot be read, or holds more than `limit` bytes.
        """
        data = kept(self._place, _READ, [inside(path)], path, limit)
        return data.decode(errors="replace") if format == "text" else data

    def write(self, path: str, data: str | bytes | BinaryIO) -> None:
        """Writes a file, whole or not at all; makes the directories above it. Needs `cat`, `mv`.

        Raises:
            FileError: It cannot be written.
        """
        if isinstance(data, str):
            data = data.encode()
        if isinstance(data, bytes):
            pieces = iter([data] if data else [])
            copying.write(self._place, copying.Target(path), pieces, len(data))
        else:
            copying.write(self._place, copying.Target(path), _pieces(data), None)

    def list(self, path: str = ".") -> "list[FileInfo]":
        """What is in a directory, by name. Needs `stat`.

        Raises:
            NotFound: There is no such directory.
            FileError: It cannot be read.
        """
        data = kept(self._place, _LIST, [inside(path)], path, _LONGEST_LIST)
        return sorted(_entries(data, path))

    def exists(self, path: str) -> bool:
        """Whether there is something of that name, be it a link that leads nowhere."""
        return self._shell(_EXISTS, path).run(lambda _channel, _data: None) == 0

    def make_dir(self, path: str) -> None:
        """Makes a directory and those above it. Needs `mkdir`.

        Raises:
            FileError: It cannot be made.
        """
        self._do(_MAKE, path)

    def remove(self, path: str) -> None:
        """Removes a file, or a directory with all that is in it. Needs `rm`.

        Raises:
            NotFound: There is nothing of that name.
            FileError: It cannot be removed.
        """
        self._do(_REMOVE, path)

    def rename(self, path: str, new: str) -> None:
        """Gives a file or directory another name. Needs `mv`.

        Raises:
            NotFound: There is nothing of that name.
            FileError: It cannot be renamed.
        """
        self._do(_RENAME, path, inside(new))

    def upload(self, local: str | PathLike[str], path: str) -> copying.Copied:
        """Copies a local file or directory into the Sandbox, as `cp -r` would. Needs `tar`.

        Raises:
            FileError: Something cannot be read or written.
        """
        return copying.copy_in(self._place, local, path)

    def download(
        self, path: str, local: str | PathLike[str], limits: Limits | None = None
    ) -> copying.Copied:
        """Copies a file or directory out of the Sandbox, as `cp -r` would. Needs `tar`.

        Nothing is written outside of `local`, and no link is followed; what is left out is told.

        Raises:
            NotFound: There is nothing of that name.
            FileError: Something cannot be read or written, or it is more than the limits.
        """
        return copying.copy_out(self._place, path, local, limits or Limits())

    def _shell(self, script: str, path: str, *more: str) -> Piece:
        return Piece(self._place, script, [inside(path), *more])

    def _do(self, script: str, path: str, *more: str) -> None:
        piece = self._shell(script, path, *more)
        piece.judge(piece.run(lambda _channel, _data: None), path)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _entries(data: bytes, path: str) -> Iterator[FileInfo]:
    """The groups that _LIST prints; odd ones are somebody else's work and an error."""
    fields = data.decode("utf-8", "surrogateescape").split("\0")
    while len(fields) > 1:
        end = fields.index("") if "" in fields else len(fields)
        found, rest = fields[:end], fields[end + 1 :]
        lines = rest[0].splitlines() if rest else []
        if not found or len(lines) != len(found):
            message = f"{path}: the Sandbox's answer does not read"
            raise FileError(message)
        yield from (_entry(name, line, path) for name, line in zip(found, lines, strict=True))
        fields = rest[1:]


def _entry(name: str, line: str, path: str) -> FileInfo:
    numbers = line.split()
    try:
        mode, size, modified = int(numbers[0], 16), int(numbers[1]), int(numbers[2])
    except (IndexError, ValueError) as error:
        message = f"{path}: the Sandbox's answer does not read"
        raise FileError(message) from error
    return FileInfo(name.removeprefix("./"), _kind(mode), size, stat.S_IMODE(mode), modified)


def _kind(mode: int) -> Literal["file", "directory", "symlink", "other"]:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) else "other"
