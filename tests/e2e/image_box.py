"""Runs a program inside a built image without a cluster: own namespaces, read-only root, any uid.

What a kubelet adds (a read-only root, /work, /tmp, /proc, loopback only) is added here too; nothing
else is, so a program that works here needs nothing from the node.
"""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

# Mounts live in the new namespace alone and go with it. `$before` runs as root before the program.
_SCRIPT = """
set -e
root=$1 uid=$2 before=$3
shift 3
mkdir -p "$root/sys"
mount --bind "$root" "$root"
mount -o remount,ro,bind "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
if [ -d "$root/work" ]; then
    mount -t tmpfs -o "uid=$uid,gid=$uid,mode=700" tmpfs "$root/work"
fi
ip link set lo up
eval "$before"
exec env -i "$@"
"""


@dataclass(frozen=True)
class Box:
    """An image unpacked into a directory."""

    root: Path
    config: dict[str, Any]

    def argv(self, uid: int, program: Sequence[str], before: str = ":") -> list[str]:
        """Return the command line that runs a program in the image under this uid."""
        unshare = ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child"]
        script = ["sh", "-c", _SCRIPT, "sh", str(self.root), str(uid), before]
        chroot = [str(shutil.which("chroot")), "--groups=", f"--userspec={uid}:{uid}"]
        return [*unshare, *script, *self._environment(), *chroot, str(self.root), *program]

    def run(
        self, uid: int, program: Sequence[str], before: str = ":", timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; its standard error is part of its output."""
        return subprocess.run(
            self.argv(uid, program, before),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=timeout,
            check=False,
        )

    def _environment(self) -> list[str]:
        own = list(self.config["Env"])
        target = [item.replace("PYTHONPATH", "PIP_TARGET") for item in own if "PYTHONPATH" in item]
        return [*own, *target]


def unpack(archive: Path, root: Path) -> Box:
    """Unpack an OCI archive's layers, in order, into a directory."""
    root.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        manifest, config = _documents(tar)
        for layer in manifest["layers"]:
            _extract(_open(tar, _blob(layer["digest"])), root)
    return Box(root, config["config"])


def _extract(layer: IO[bytes], root: Path) -> None:
    command = ["tar", "--extract", "--same-permissions", f"--directory={root}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        shutil.copyfileobj(layer, process.stdin, 1 << 20)
    assert process.returncode == 0


def members(archive: Path) -> Iterator[tarfile.TarInfo]:
    """Yield every entry of every layer of an OCI archive."""
    with tarfile.open(archive) as tar:
        manifest, _config = _documents(tar)
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=_open(tar, _blob(layer["digest"]))) as inner:
                yield from inner


def files_with(archive: Path, text: bytes) -> list[str]:
    """Return the files of an OCI archive that contain this text."""
    with tarfile.open(archive) as tar:
        manifest, _config = _documents(tar)
        found = []
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=_open(tar, _blob(layer["digest"]))) as inner:
                files = (entry for entry in inner if entry.isfile())
                found += [entry.name for entry in files if text in _content(inner, entry)]
    return found


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(entry)
    assert stream is not None, entry.name
    return stream.read()


def manifest_digest(archive: Path) -> str:
    """Return what identifies an archive's image."""
    with tarfile.open(archive) as tar:
        return str(json.load(_open(tar, "index.json"))["manifests"][0]["digest"])


def _documents(tar: tarfile.TarFile) -> tuple[Any, Any]:
    index = json.load(_open(tar, "index.json"))
    manifest = json.load(_open(tar, _blob(index["manifests"][0]["digest"])))
    return manifest, json.load(_open(tar, _blob(manifest["config"]["digest"])))


def _open(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = tar.extractfile(name)
    assert stream is not None, name
    return stream


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
