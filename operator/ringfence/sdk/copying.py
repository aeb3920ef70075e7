"""Copies between this machine and a Sandbox. I/O.

What comes out is unpacked by unpack.py and lands through landing.py, whatever program in the
Sandbox made it. What goes in is written by programs of the Sandbox: it can only harm itself.
"""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Final, NamedTuple, Self

from ringfence.client.remote import Pieces
from ringfence.sdk.errors import FileError, InvalidArgument, SandboxError
from ringfence.sdk.landing import Landing
from ringfence.sdk.pack import packed
from ringfence.sdk.place import Place
from ringfence.sdk.shell import Piece, inside
from ringfence.sdk.unpack import Limits, Unpacker

_PIECE: Final = 256 * 1024
_CHANGED: Final = 1
"""Exit status of tar: a file changed while it was read."""

Progress = Callable[[int], object]
"""Told of each number of bytes that went through."""

# $1 path, $2 name if it is a directory, $3 size or -, $4 mode or -, $5 end of the temporary name.
_WRITE: Final = """\
to=$1; if [ -n "$2" ] && [ -d "$to" ]; then to=$to/$2; fi
new=$to.$5
case $to in */*) [ -z "${to%/*}" ] || mkdir -p "${to%/*}" || exit 1;; esac
if [ -d "$to" ]; then echo "$to is a directory" >&2; exit 1; fi
cat > "$new" || { rm -f "$new"; exit 1; }
if [ "$3" != - ] && [ "$(wc -c < "$new")" -ne "$3" ]; then
    echo 'it did not arrive whole' >&2; rm -f "$new"; exit 1
fi
if [ "$4" != - ]; then chmod "$4" "$new" || exit 1; fi
exec mv -f "$new" "$to"
"""
_CLEAN: Final = 'exec rm -f "$1.$3" "$1/$2.$3"'
_UNPACK: Final = """\
to=$1; if [ -n "$2" ] && [ -d "$to" ]; then to=$to/$2; fi
mkdir -p "$to" && cd "$to" && exec tar -xf -
"""
# First one letter: whether a directory's archive follows, or a file.
_SEND: Final = """\
if [ -d "$1" ]; then printf d; cd "$1" && exec tar -cf - .; exit 1; fi
[ -f "$1" ] || { [ -e "$1" ] && { echo 'neither file nor directory' >&2; exit 1; }; exit 44; }
if [ -x "$1" ]; then printf x; else printf f; fi
exec cat "$1"
"""


class Copied(NamedTuple):
    """What was copied.

    Attributes:
        files: How many files.
        size: How many bytes.
        notes: What was left out, and why; one line each, not all of them if there are many.
    """

    files: int
    size: int
    notes: tuple[str, ...] = ()


class Target(NamedTuple):
    """The file that is to be.

    Attributes:
        path: Its path, or a directory's if there is a name.
        name: Its name if the path turns out to be a directory.
        mode: Its permission bits, octal.
    """

    path: str
    name: str = ""
    mode: str = "-"


def write(place: Place, target: Target, pieces: Iterator[bytes], size: int | None) -> None:
    """Writes one file in the Sandbox, whole or not at all.

    Raises:
        FileError: It cannot be written.
    """
    token = f"ringfence-{secrets.token_hex(6)}"
    length = "-" if size is None else str(size)
    path, name, mode = target
    piece = Piece(place, _WRITE, [inside(path), name, length, mode, token])
    try:
        code = piece.run(lambda _channel, _data: None, Pieces(pieces))
    except BaseException:
        # Not with the wakeup that stopped it.
        cleaner = Piece(place._replace(wakeup=None), _CLEAN, [inside(path), name, token])
        with contextlib.suppress(SandboxError):
            cleaner.run(lambda _channel, _data: None, timeout=10)
        raise
    piece.judge(code, path)


def copy_in(
    place: Place,
    local: str | PathLike[str],
    path: str,
    progress: Progress = lambda _: None,
) -> Copied:
    """Copies a local file or directory into the Sandbox.

    Raises:
        FileError: Something cannot be read or written.
    """
    source = Path(local)
    name = source.resolve().name
    if not source.exists():
        message = f"{source}: no such file or directory on this machine"
        raise FileError(message)
    if source.is_dir():
        return _directory_in(place, source, (path, "" if path.endswith("/.") else name), progress)
    size = source.stat().st_size
    mode = "755" if os.access(source, os.X_OK) else "644"
    write(place, Target(path, name, mode), _told(_read(source), progress), size)
    return Copied(1, size)


def _directory_in(
    place: Place, source: Path, target: tuple[str, str], progress: Progress
) -> Copied:
    notes: list[str] = []
    piece = Piece(place, _UNPACK, [inside(target[0]), target[1]])
    archive = packed(source, lambda name, why: notes.append(f"{name}: left out, {why}"))
    code = piece.run(lambda _channel, _data: None, Pieces(_told(archive, progress)))
    piece.judge(code, target[0])
    sizes = [f.stat().st_size for f in source.rglob("*") if f.is_file() and not f.is_symlink()]
    return Copied(len(sizes), sum(sizes), tuple(notes))


def _read(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
    except OSError as error:
        message = f"{source}: {error.strerror}"
        raise FileError(message) from error


def _told(pieces: Iterator[bytes], progress: Progress) -> Iterator[bytes]:
    for piece in pieces:
        progress(len(piece))
        yield piece


def copy_out(
    place: Place,
    path: str,
    local: str | PathLike[str],
    limits: Limits,
    progress: Progress = lambda _: None,
) -> Copied:
    """Copies a file or directory out of the Sandbox.

    Raises:
        NotFound: There is nothing of that name.
        FileError: Something cannot be read or written, or it is more than the limits.
    """
    name = os.path.normpath(path).rpartition("/")[2]
    arrival = _Arrival(Path(local), "" if name in (".", "..") else name, limits, progress)
    piece = Piece(place, _SEND, [inside(path)])
    try:
        with arrival:
            code = piece.run(lambda _, data: arrival.take(data))
            if arrival.directory and code == _CHANGED:
                arrival.note(f"{path}: {piece.said}")
                code = 0
            piece.judge(code, path)
            return arrival.finish(path)
    except OSError as error:
        message = f"{error.filename or local}: {error.strerror}"
        raise FileError(message) from error


class _Arrival:
    """Takes what _SEND prints, as it comes."""

    def __init__(self, local: Path, name: str, limits: Limits, progress: Progress) -> None:
        self._local = local
        self._name = name
        self._limits = limits
        self._progress = progress
        self._landing: Landing | None = None
        self._unpacker: Unpacker | None = None
        self._room = limits.size
        self._notes: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._landing is not None:
            self._landing.__exit__(None, None, None)

    @property
    def directory(self) -> bool:
        """Whether a directory comes."""
        return self._unpacker is not None

    def note(self, text: str) -> None:
        """Something to tell."""
        self._notes.append(text)

    def take(self, data: bytes) -> None:
        """The next piece."""
        if self._landing is None:
            self._landing, data = self._begin(data[:1]), data[1:]
        self._progress(len(data))
        if self._unpacker is not None:
            self._unpacker.feed(data)
            return
        self._room -= len(data)
        if self._room < 0:
            message = "more comes out of the Sandbox than the limit permits; raise it with --limit"
            raise FileError(message)
        self._landing.write(data)

    def finish(self, path: str) -> Copied:
        """The Sandbox said that all was sent."""
        landing = self._landing
        if landing is None or (self._unpacker is not None and not self._unpacker.complete):
            message = f"{path}: it did not arrive whole"
            raise FileError(message)
        landing.finish()
        landing.link_all()
        notes = [*landing.notes, *self._notes]
        if landing.skipped > len(landing.notes):
            notes.append(f"{landing.skipped - len(landing.notes)} more were left out")
        return Copied(landing.files, landing.size, tuple(notes))

    def _begin(self, letter: bytes) -> Landing:
        inside_it = self._local.is_dir() and bool(self._name)
        target = self._local / self._name if inside_it else self._local
        if letter == b"d":
            landing = Landing(target)
            self._unpacker = Unpacker(landing, self._limits)
            return landing
        if target.is_dir():
            message = f"{target} is a directory; name the file that is to be written"
            raise InvalidArgument(message)
        landing = Landing(target.parent)
        landing.begin((target.name,), executable=letter == b"x")
        return landing
