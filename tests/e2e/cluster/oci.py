"""Writes small OCI image archives without any image tool, byte for byte reproducible.

Only for images of a few files (pause, coredns, busybox); real images are built elsewhere.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_OCI = "application/vnd.oci.image"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """What an image holds: files (path to content), links, and how it starts."""

    name: str
    files: Mapping[str, bytes]
    links: Mapping[str, str]
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    user: str = ""


def write(image: Image, target: Path) -> None:
    """Write the archive; the target appears complete or not at all."""
    layer = _layer(image)
    blobs = {_digest(layer): layer}
    configuration = _add(blobs, _configuration(image, _digest(layer)))
    manifest = _add(
        blobs,
        {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": _descriptor(f"{_OCI}.config.v1+json", configuration, blobs),
            "layers": [_descriptor(f"{_OCI}.layer.v1.tar", _digest(layer), blobs)],
        },
    )
    files = {f"blobs/sha256/{digest}": data for digest, data in blobs.items()}
    files["oci-layout"] = _json({"imageLayoutVersion": "1.0.0"})
    files["index.json"] = _json(_index(image.name, manifest, blobs))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_bytes(_tar(files, {}, 0o644))
    temporary.rename(target)


def name_and_digest(archive: Path) -> tuple[str, str]:
    """The name of the (only) image of an archive, and its digest as `sha256:…`."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile("index.json")
        if member is None:
            message = f"{archive}: index.json is not a file"
            raise ValueError(message)
        entry = json.load(member)["manifests"][0]
        return entry["annotations"]["io.containerd.image.name"], entry["digest"]


def _index(name: str, manifest: str, blobs: Mapping[str, bytes]) -> dict[str, Any]:
    entry = _descriptor(f"{_OCI}.manifest.v1+json", manifest, blobs)
    entry["annotations"] = {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": name.rpartition(":")[2],
    }
    return {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.index.v1+json",
        "manifests": [entry],
    }


def _configuration(image: Image, diff_id: str) -> dict[str, Any]:
    settings = {
        "Env": ["PATH=/bin:/usr/bin"],
        "Entrypoint": list(image.entrypoint) or None,
        "Cmd": list(image.command) or None,
        "User": image.user or None,
    }
    machine = platform.machine()
    return {
        "created": "1970-01-01T00:00:00Z",
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {key: value for key, value in settings.items() if value is not None},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "ringfence test cluster"}],
    }


def _layer(image: Image) -> bytes:
    return _tar(image.files, image.links, 0o755)


def _tar(files: Mapping[str, bytes], links: Mapping[str, str], mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for directory in sorted({parent for name in [*files, *links] for parent in _parents(name)}):
            tar.addfile(_directory(directory))
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            tar.addfile(entry, io.BytesIO(data))
        for name, destination in sorted(links.items()):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, destination
            tar.addfile(entry)
    return buffer.getvalue()


def _directory(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    return entry


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _add(blobs: dict[str, bytes], value: Any) -> str:
    data = _json(value)
    blobs[_digest(data)] = data
    return _digest(data)


def _descriptor(media_type: str, digest: str, blobs: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "mediaType": media_type,
        "digest": f"sha256:{digest}",
        "size": len(blobs[digest]),
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
