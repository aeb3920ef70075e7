"""Bombs: processes, memory and disk until the kernel says no, or a little beyond the limit.

The little beyond is what keeps an unprotected node alive: every bomb ends by itself and cleans up.
"""

import errno
import gc
import mmap
import os
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from ringfence.attack.probes.kit import (
    Attempt,
    Result,
    Scene,
    die_with_parent,
    name,
    result,
    scratch,
)

MIB: Final = 1 << 20
_MOST_FORKS: Final = 2000
_FORKS_BEYOND: Final = 256
_MOST_MEMORY: Final = 4096 * MIB
_BEYOND: Final = 256 * MIB
_STEP: Final = 16 * MIB
_DISK_STEP: Final = 64 * MIB
_FILE: Final = 1024 * MIB
_SPARE_DISK: Final = 4096 * MIB
_SIDE_DOOR: Final = 32 * MIB
_PAGE: Final = 4096
_NO_MEMORY: Final = 3
"""Exit status of the memory bomb's child after a MemoryError."""
_DISKS: Final = ("ext4", "xfs", "btrfs", "overlay", "ext3", "ext2", "f2fs")


def fork_bomb(scene: Scene) -> Result:
    """`:(){ :|:& };:` - forks until refused, and goes on trying while the node is watched."""
    limit = scene["pids"]
    most = min(limit + _FORKS_BEYOND, _MOST_FORKS)
    what = f"fork up to {most} times"
    if most <= limit:
        return result([Attempt(what, "untried", detail=f"the limit of {limit} is too high to try")])
    reader, writer = os.pipe()
    gc.disable()
    gc.freeze()  # children share what they do not touch
    children, said = _fork_until_refused(most, reader, writer)
    if said:
        _keep_trying(scene["spinSeconds"])
    os.close(writer)
    for child in children:
        os.waitpid(child, 0)
    attempt = Attempt(what, "refused" if said else "through", said)
    return result([attempt], processes=len(children), cgroup=_pids_max())


def _fork_until_refused(most: int, reader: int, writer: int) -> tuple[list[int], str]:
    children: list[int] = []
    while len(children) < most:
        try:
            children.append(_fork(reader, writer))
        except OSError as error:
            return children, name(error.errno or 0)
    return children, ""


def _fork(reader: int, writer: int) -> int:
    """A child that waits until its parent closes the pipe, or ends."""
    child = os.fork()
    if child == 0:
        die_with_parent()
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    return child


def _keep_trying(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError):
            os.waitpid(_fork_and_end(), 0)


def _fork_and_end() -> int:
    child = os.fork()
    if child == 0:
        os._exit(0)
    return child


def _pids_max() -> str:
    """The limit as the container's own cgroup shows it, for people."""
    for path in ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"):
        with suppress(OSError), open(path) as file:
            return file.read().strip()
    return ""


def memory_bomb(scene: Scene) -> Result:
    """`x = "a" * 10**12` - takes memory and writes to it until killed or refused."""
    limit = scene["memory"]
    most = min(limit + _BEYOND, _MOST_MEMORY, _available() // 2)
    what = f"write to {most // MIB} MiB of memory"
    if most <= limit:
        return result([Attempt(what, "untried", detail="the node has too little memory to try")])
    reached, status = _take_memory(most)
    if os.WIFSIGNALED(status):
        said = signal.Signals(os.WTERMSIG(status)).name
    else:
        said = "ENOMEM" if os.WEXITSTATUS(status) == _NO_MEMORY else ""
    return result([Attempt(what, "refused" if said else "through", said)], bytes=reached)


def _available() -> int:
    with open("/proc/meminfo") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["MemAvailable"].split()[0]) * 1024


def _take_memory(most: int) -> tuple[int, int]:
    """Bytes that a child reached, and its wait status."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os._exit(_eat(most, writer))
    os.close(writer)
    reached = 0
    while heard := os.read(reader, 8):
        reached = struct.unpack("q", heard)[0]
    os.close(reader)
    return reached, os.waitpid(child, 0)[1]


def _eat(most: int, writer: int) -> int:
    """The child: offers itself to the OOM killer, so that the parent lives to tell."""
    die_with_parent()
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    taken: list[mmap.mmap] = []
    try:
        while len(taken) * _STEP < most:
            block = mmap.mmap(-1, _STEP)
            block[::_PAGE] = b"x" * (_STEP // _PAGE)
            taken.append(block)
            os.write(writer, struct.pack("q", len(taken) * _STEP))
    except (MemoryError, OSError):
        return _NO_MEMORY
    return 0


def fill_disk(scene: Scene) -> Result:
    """`dd if=/dev/zero of=/work/x` - all writable places together."""
    limit = scene["disk"]
    places = [place for place in ("/work", "/tmp") if os.access(place, os.W_OK)]
    what = f"write {(limit + _BEYOND) // MIB} MiB to {' and '.join(places)}"
    reached, said = 0, ""
    with _scratches(places) as directories:
        for directory in directories:
            if not _room(directory, limit):
                detail = "the node's disk has too little room to try"
                return result([Attempt(what, "untried", detail=detail)])
            taken, said = _fill(directory, limit + _BEYOND - reached)
            reached += taken
            if not said:
                break
    bomb = Attempt(what, "refused" if said else "through", said)
    own = all(_is_own(place, limit) for place in places)
    return result([bomb, *_side_doors(limit)], bytes=reached, inodes=_inodes(), ownVolume=own)


@contextmanager
def _scratches(places: list[str]) -> Iterator[list[str]]:
    if not places:
        yield []
        return
    with scratch(places[0]) as first, _scratches(places[1:]) as others:
        yield [first, *others]


def _size(place: str) -> int:
    found = os.statvfs(place)
    return found.f_blocks * found.f_frsize


def _is_own(place: str, limit: int) -> bool:
    """Whether the file system is no larger than what the Sandbox may use."""
    return _size(place) <= limit


def _room(place: str, limit: int) -> bool:
    """A volume of the Sandbox's own may be filled; of the node's disk, a part must stay free."""
    found = os.statvfs(place)
    free = found.f_bavail * found.f_frsize
    return _is_own(place, limit) or free > limit + _BEYOND + _SPARE_DISK


def _inodes() -> int:
    return os.statvfs("/work").f_files if os.path.isdir("/work") else 0


def _fill(directory: str, most: int) -> tuple[int, str]:
    """Bytes taken in files of 1 GiB, and what the kernel said at the end."""
    reached = 0
    while reached < most:
        path = os.path.join(directory, f"fill-{reached}")
        taken, said = _fill_file(path, min(_FILE, most - reached))
        reached += taken
        if said:
            return reached, said
    return reached, ""


def _fill_file(path: str, most: int) -> tuple[int, str]:
    """Reserves blocks, which is as good as writing to them and spares the disk; then writes."""
    with open(path, "wb", buffering=0) as file:
        taken = 0
        with suppress(OSError):
            while taken < most:
                os.posix_fallocate(file.fileno(), taken, min(_DISK_STEP, most - taken))
                taken += min(_DISK_STEP, most - taken)
        file.seek(taken)
        try:
            while taken < most:
                taken += file.write(bytes(min(MIB, most - taken)))
        except OSError as error:
            return taken, name(error.errno or errno.EIO)
    return taken, ""


def _side_doors(limit: int) -> Iterator[Attempt]:
    """Writable places on the node's disk that no volume limits."""
    for place in _writable_mounts():
        if os.path.isdir(place):
            if not _is_own(place, limit):
                with scratch(place) as directory:
                    yield _side_door(place, os.path.join(directory, "fill"))
        else:
            yield _side_door(place, place)


def _writable_mounts() -> list[str]:
    """Mounts of disks beside /work and /tmp; some are single files."""
    with open("/proc/self/mountinfo") as file:
        lines = [line.split(" - ") for line in file]
    disks = [left.split()[4] for left, right in lines if right.split()[0] in _DISKS]
    return [m for m in disks if m not in ("/work", "/tmp") and os.access(m, os.W_OK)]


def _side_door(place: str, path: str) -> Attempt:
    """Appends, and cuts the file to its old length again."""
    what = f"write {_SIDE_DOOR // MIB} MiB to {place}"
    try:
        with open(path, "ab") as file:
            before = file.tell()
            try:
                os.posix_fallocate(file.fileno(), before, _SIDE_DOOR)
            finally:
                file.truncate(before)
    except OSError as error:
        return Attempt(what, "refused", name(error.errno or errno.EIO))
    return Attempt(what, "through", detail="the node's own disk, which no volume limits")
