"""The disk images of node 2, cached: its root, and a store of images and programs.

Both are made from directories at the machine's own speed and named by a hash of what went into
them. Nodes write into temporary copies only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import config, rootfs
from cluster.errors import ClusterError
from cluster.shell import run, run_long

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cluster.config import Paths
    from cluster.progress import Progress

_PROGRAMS = ("kube", "kube-router")
_FILL = config.SOURCES / "data" / "fill-store.sh"
_KEPT = 2  # of each kind: branches switch back and forth
# Room to write; the files are sparse. No journal: a disk is used once.
_ROOT_SIZE, _STORE_SIZE = "4G", "24G"
_MKE2FS = ("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0")


def kernel(paths: Paths) -> Path:
    """The kernel in the node's root file system."""
    found = sorted((rootfs.node_root(paths) / "boot").glob("vmlinuz-*"))
    if not found:
        message = "the node's root file system holds no kernel: node 2 needs an x86-64 machine"
        raise ClusterError(message)
    return found[-1]


def root(paths: Paths, progress: Progress) -> Path:
    """The root disk."""
    target = paths.disks / f"root-{rootfs.recipe_key()}.ext4"
    if not target.exists():
        with progress.step(f"Make the root disk of {config.NODE_2_NAME}"):
            _make(rootfs.node_root(paths), target, _ROOT_SIZE)
    _keep(target)
    return target


def store(paths: Paths, archives: Sequence[Path], progress: Progress) -> Path:
    """The disk with containerd's store, which holds these images, and the programs."""
    target = paths.disks / f"store-{store_key(paths, archives)}.ext4"
    if not target.exists():
        with progress.step(f"Make the image disk of {config.NODE_2_NAME}"):
            _make_store(paths, archives, target)
    _keep(target)
    return target


def store_key(paths: Paths, archives: Sequence[Path]) -> str:
    """Changes with the images, the programs and the containerd that imports them."""
    digest = hashlib.sha256(f"{rootfs.recipe_key()} {_STORE_SIZE}".encode())
    digest.update(_FILL.read_bytes())
    for program in _PROGRAMS:
        digest.update((paths.bin / f".{program}.stamp").read_bytes())
    for index in sorted(_index(archive) for archive in archives):
        digest.update(index)
    return digest.hexdigest()[:12]


def _index(archive: Path) -> bytes:
    """What names an archive's images and, by digest, all of their content."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile("index.json")
        if member is None:
            message = f"{archive} is no OCI archive: it has no index.json"
            raise ClusterError(message)
        return member.read()


def _make_store(paths: Paths, archives: Sequence[Path], target: Path) -> None:
    with _scratch(paths.disks) as scratch:
        content, work = scratch / "content", scratch / "work"
        for directory in (work, content / "containerd", content / "bin"):
            directory.mkdir(parents=True)
        for program in _PROGRAMS:
            os.link(paths.bin / program, content / "bin" / program)
        namespaces = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
        places = (rootfs.node_root(paths), work, content / "containerd")
        run_long(*namespaces, "bash", _FILL, *places, *archives)
        _make(content, target, _STORE_SIZE)


def _make(source: Path, target: Path, size: str) -> None:
    """A disk with the content of a directory; it appears complete or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(target.parent) as scratch:
        image = scratch / target.name
        run_long(*_MKE2FS, "-d", source, image, size)
        image.rename(target)


def _keep(used: Path) -> None:
    """Mark a disk as used and remove all but the latest used of its kind."""
    used.touch()
    kind = used.name.partition("-")[0]
    found = sorted(used.parent.glob(f"{kind}-*.ext4"), key=lambda file: file.stat().st_mtime)
    for file in found[:-_KEPT]:
        file.unlink()


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """A directory on the disks' own file system that is gone afterwards."""
    parent.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(dir=parent, prefix=".scratch-"))
    try:
        yield directory
    finally:
        # The mounts below it were another mount namespace's and are gone with it.
        run("rm", "-rf", "--one-file-system", directory)


def remove_leftovers(paths: Paths) -> None:
    """Remove what a killed run left; nobody else may be making a disk."""
    for directory in paths.disks.glob(".scratch-*"):
        shutil.rmtree(directory)
