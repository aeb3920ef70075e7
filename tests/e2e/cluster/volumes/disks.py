"""Makes and removes the file systems on this machine, and lets go of their loop devices.

Loop devices belong to the whole machine. Only the kernel chooses one, and it lets go of it by
itself with the last mount (autoclear), however the node ends. Whose a device is, its file tells.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cluster.shell import in_node, run, wait_until

if TYPE_CHECKING:
    from cluster.config import Paths

_BYTES_PER_INODE: Final = 16384
_SMALLEST: Final = 2**20
_DEVICES: Final = Path("/sys/block")

# No journal: a volume lives no longer than its Pod. Nothing is written before it is needed.
_MKFS: Final = (
    *("mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-i", str(_BYTES_PER_INODE)),
    *("-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard"),
)
_MOUNT: Final = """
mountpoint -q "$2" && exit
mkdir -p "$2" && mount -t ext4 -o loop,noinit_itable "$1" "$2"
"""
# The kubelet may still hold its own mounts: the file system ends with the last of them.
_UNMOUNT: Final = """
mountpoint -q "$1" && umount -l "$1"
rmdir "$1" || true
"""


class Disks:
    """The volumes of one cluster; the node sees the directory under the same path."""

    def __init__(self, paths: Paths) -> None:
        self._directory = paths.volumes

    def path(self, name: str) -> Path:
        """Where the node mounts a volume."""
        return self._directory / name

    def make(self, name: str, size: int, node_pid: int) -> None:
        """Make and mount a file system; what of it is there already is kept."""
        image = self._image(name)
        if not image.exists():
            _format(image, max(size, _SMALLEST))
        self._on_node(node_pid, _MOUNT, image, self.path(name))

    def remove(self, name: str, node_pid: int) -> None:
        """Unmount a file system and remove its file."""
        self._on_node(node_pid, _UNMOUNT, self.path(name))
        self._image(name).unlink(missing_ok=True)

    def _image(self, name: str) -> Path:
        return self._directory / f"{name}.img"

    def _on_node(self, pid: int, script: str, *arguments: Path) -> None:
        run(*in_node(pid, "sh", "-c", script, "sh", *map(str, arguments)))


def _format(image: Path, size: int) -> None:
    """A file of this name is always a whole file system."""
    temporary = image.with_suffix(".new")
    with temporary.open("wb") as file:
        file.truncate(size)
    run(*_MKFS, temporary)
    temporary.rename(image)


def release(directory: Path, devices: Path = _DEVICES) -> None:
    """Wait until no loop device holds a file below a directory; its mounts must be gone."""
    wait_until(f"release of {directory}", lambda: not held(directory, devices), 20)


def held(directory: Path, devices: Path = _DEVICES) -> list[str]:
    """The files below a directory, be they removed, that loop devices hold."""
    found = []
    for entry in devices.glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # let go of this very moment
            found.append(entry.read_text().strip())
    return sorted(file for file in found if file.startswith(f"{directory}/"))
