"""Turns a directory into a layer: a tar that is equal, byte for byte, for equal content.

Owners become root, times after the epoch below become the epoch. It must not look at names.
"""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

EPOCH = 1793491200  # 2026-11-01; nothing in an image is younger
_RUNTIME_DIRECTORIES = ("dev", "proc", "sys", "run")  # mounted over in every container
_TAR = (
    "tar",
    "--create",
    "--format=gnu",
    "--sort=name",
    f"--mtime=@{EPOCH}",
    "--clamp-mtime",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--one-file-system",
)


@dataclass(frozen=True)
class Layer:
    """A finished layer in the cache."""

    path: Path
    digest: str
    size: int


def write(root: Path, target: Path) -> Layer:
    """Write the layer of a directory; the target appears complete or not at all."""
    root.chmod(0o755)
    temporary = target.with_name(f".{target.name}.new")
    excluded = [f"--exclude=./{name}/*" for name in _RUNTIME_DIRECTORIES]
    command = [*_TAR, *excluded, f"--file={temporary}", f"--directory={root}", "."]
    subprocess.run(command, check=True)
    with temporary.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    layer = Layer(target, digest, temporary.stat().st_size)
    _stamp(target).write_text(json.dumps({"digest": digest, "size": layer.size}))
    temporary.rename(target)
    return layer


def cached(target: Path) -> Layer | None:
    """Return the layer if it is already there."""
    if not (target.exists() and _stamp(target).exists()):
        return None
    return Layer(target, **json.loads(_stamp(target).read_text()))


def remove(target: Path) -> None:
    """Forget a layer."""
    target.unlink(missing_ok=True)
    _stamp(target).unlink(missing_ok=True)


def extract(layer: Layer, root: Path) -> None:
    """Unpack a layer, for programs that need its files."""
    command = ["tar", "--extract", "--same-permissions", f"--file={layer.path}"]
    subprocess.run([*command, f"--directory={root}"], check=True)


def _stamp(target: Path) -> Path:
    return target.with_suffix(".json")
