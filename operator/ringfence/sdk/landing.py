"""Where a copy out of a Sandbox lands: a directory that nothing in the copy leads out of. I/O.

Every component of a path is opened from its parent and no link is followed, whoever made it. A file
gets its name only when it is complete, and takes the place of a link instead of writing through it.
Links are made last, so that nothing is written through them either.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ringfence.printable import printable
from ringfence.sdk.errors import FileError
from ringfence.sdk.unpack import Parts, leads_outside

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE: Final = 1024 * 1024
_NOTED: Final = 100


class Landing:
    """Implements ringfence.sdk.unpack.Sink."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._parents: tuple[Parts, int] = ((), os.dup(self._root))
        self._file: tuple[int, Parts] | None = None
        self._temporary = f".ringfence-{secrets.token_hex(8)}"
        self._links: list[tuple[Parts, str]] = []
        self._made: set[Parts] = set()
        self.files = 0
        self.size = 0
        self.skipped = 0
        self.notes: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._drop()
        os.close(self._parents[1])
        os.close(self._root)

    def directory(self, parts: Parts) -> None:
        """Makes a directory."""
        self._parent((*parts, ""))

    def begin(self, parts: Parts, *, executable: bool) -> None:
        """Begins a file under a name that nobody else has."""
        mode = 0o777 if executable else 0o666
        parent = self._parent(parts)
        self._file = (os.open(self._temporary, _NEW, mode, dir_fd=parent), parts)

    def write(self, data: bytes) -> None:
        """The next bytes of the file that was begun."""
        if self._file is not None:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file[0], view) :]
            self.size += len(data)

    def finish(self) -> None:
        """The file gets its name."""
        if self._file is None:
            return
        descriptor, parts = self._file
        parent = self._parent(parts)
        try:
            os.replace(self._temporary, parts[-1], src_dir_fd=parent, dst_dir_fd=parent)
        except OSError as error:
            message = f"{_name(parts)}: {error.strerror}"
            raise FileError(message) from error
        os.close(descriptor)
        self._file = None
        self._made.add(parts)
        self.files += 1

    def symlink(self, parts: Parts, target: str) -> None:
        """Notes a symbolic link, if it leads nowhere else; it is made by `link_all`."""
        if leads_outside(parts, target):
            self.skip(_name(parts), "a link that leads elsewhere")
        else:
            self._links.append((parts, target))

    def copy(self, parts: Parts, source: Parts) -> int:
        """Copies a file that was made before: a hard link would tie the two together."""
        if source not in self._made:
            self.skip(_name(parts), "a link to what was not copied")
            return 0
        parent = self._parent(source)
        descriptor = os.open(source[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        with os.fdopen(descriptor, "rb") as original:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                self.skip(_name(parts), "a link to what is no file any more")
                return 0
            self.begin(parts, executable=bool(found.st_mode & 0o100))
            while piece := original.read(_PIECE):
                self.write(piece)
        self.finish()
        return found.st_size

    def skip(self, name: str, why: str) -> None:
        """Notes an entry that is left out."""
        self.skipped += 1
        if len(self.notes) < _NOTED:
            self.notes.append(f"{printable(name)}: left out, {why}")

    def link_all(self) -> None:
        """Makes the links that were noted."""
        for parts, target in self._links:
            try:
                self._link(parts, target)
            except (OSError, FileError):
                self.skip(_name(parts), "something else has that name")
        self._links.clear()

    def _link(self, parts: Parts, target: str) -> None:
        parent = self._parent(parts)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(parts[-1], dir_fd=parent)
        os.symlink(target, parts[-1], dir_fd=parent)

    def _parent(self, parts: Parts) -> int:
        """Descriptor of the directory that holds a name; the last one is kept at hand."""
        above = parts[:-1]
        if self._parents[0] != above:
            descriptor = self._walk(above)
            os.close(self._parents[1])
            self._parents = (above, descriptor)
        return self._parents[1]

    def _walk(self, parts: Parts) -> int:
        descriptor = os.dup(self._root)
        try:
            for part in parts:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
                below = os.open(part, _DIRECTORY, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
        except OSError as error:
            os.close(descriptor)
            message = f"{_name(parts)}: {error.strerror}; links in the destination are not followed"
            raise FileError(message) from error
        return descriptor

    def _drop(self) -> None:
        """Removes a file that was not finished."""
        if self._file is None:
            return
        descriptor, parts = self._file
        os.close(descriptor)
        self._file = None
        with contextlib.suppress(OSError, FileError):
            os.unlink(self._temporary, dir_fd=self._parent(parts))


def _name(parts: Parts) -> str:
    return printable("/".join(parts))
