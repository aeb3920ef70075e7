"""Writes an OCI image archive from finished layers; `ctr images import` and skopeo read it.

Byte for byte reproducible. It must not know how a layer came to be.
"""

import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from images.layer import EPOCH, Layer
from images.recipe import Recipe

_OCI = "application/vnd.oci.image"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_CREATED = datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write(recipe: Recipe, name: str, layers: Sequence[Layer], target: Path) -> None:
    """Write the archive; the target appears complete or not at all."""
    documents: list[bytes] = []
    configuration = _descriptor("config.v1+json", _json(_configuration(recipe, layers)), documents)
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": configuration,
        "layers": [_layer_descriptor(layer) for layer in layers],
    }
    entry = _descriptor("manifest.v1+json", _json(manifest), documents)
    entry["annotations"] = {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": name.rpartition(":")[2],
    }
    index = {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": [entry]}
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        _write_tar(temporary, _json(index), documents, layers)
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)


def _write_tar(
    path: Path, index: bytes, documents: Sequence[bytes], layers: Sequence[Layer]
) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(tar, "index.json", index)
        for document in documents:
            _add(tar, _blob(hashlib.sha256(document).hexdigest()), document)
        for digest, layer in {layer.digest: layer for layer in layers}.items():
            with layer.path.open("rb") as stream:
                tar.addfile(_entry(_blob(digest), layer.size), stream)


def _configuration(recipe: Recipe, layers: Sequence[Layer]) -> dict[str, Any]:
    machine = platform.machine()
    return {
        "created": _CREATED,
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {
            "User": recipe.user,
            "Env": [f"{name}={value}" for name, value in recipe.env.items()],
            "Entrypoint": list(recipe.entrypoint),
            "Cmd": list(recipe.command),
            "WorkingDir": recipe.workdir,
            "Labels": recipe.labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in layers]},
        "history": [
            {"created": _CREATED, "created_by": f"ringfence images: {layer.path.stem}"}
            for layer in layers
        ],
    }


def _layer_descriptor(layer: Layer) -> dict[str, Any]:
    # Not compressed: the archives stay on the machine, and importing them is quicker.
    digest = f"sha256:{layer.digest}"
    return {"mediaType": f"{_OCI}.layer.v1.tar", "digest": digest, "size": layer.size}


def _descriptor(media_type: str, document: bytes, documents: list[bytes]) -> dict[str, Any]:
    documents.append(document)
    digest = f"sha256:{hashlib.sha256(document).hexdigest()}"
    return {"mediaType": f"{_OCI}.{media_type}", "digest": digest, "size": len(document)}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    tar.addfile(_entry(name, len(data)), io.BytesIO(data))


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o644, EPOCH
    return entry


def _blob(digest: str) -> str:
    return f"blobs/sha256/{digest}"


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
