"""Image archives are complete, reproducible and known by their digest."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from cluster import oci

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = oci.Image(
    "example.org/tool:1",
    files={"usr/bin/tool": b"program"},
    links={"bin/tool": "../usr/bin/tool"},
    entrypoint=("/usr/bin/tool",),
    user="65532",
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    target = tmp_path / "images" / "tool.tar"
    oci.write(IMAGE, target)
    return target


def contents(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        files = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


def manifest(files: dict[str, bytes]) -> dict[str, Any]:
    index = json.loads(files["index.json"])
    digest = index["manifests"][0]["digest"].removeprefix("sha256:")
    found: dict[str, Any] = json.loads(files[f"blobs/sha256/{digest}"])
    return found


def test_every_blob_is_what_its_name_says(archive: Path) -> None:
    blobs = {name: data for name, data in contents(archive).items() if name.startswith("blobs/")}
    assert len(blobs) == 3
    for name, data in blobs.items():
        assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"


def test_layer_holds_files_links_and_their_directories(archive: Path) -> None:
    files = contents(archive)
    digest = manifest(files)["layers"][0]["digest"].removeprefix("sha256:")
    with tarfile.open(fileobj=io.BytesIO(files[f"blobs/sha256/{digest}"])) as layer:
        assert layer.getnames() == ["bin", "usr", "usr/bin", "usr/bin/tool", "bin/tool"]
        assert layer.getmember("usr/bin/tool").mode == 0o755
        assert layer.getmember("bin/tool").linkname == "../usr/bin/tool"


def test_configuration_starts_the_program_as_its_user(archive: Path) -> None:
    files = contents(archive)
    digest = manifest(files)["config"]["digest"].removeprefix("sha256:")
    settings = json.loads(files[f"blobs/sha256/{digest}"])["config"]
    assert settings["Entrypoint"] == ["/usr/bin/tool"]
    assert settings["User"] == "65532"
    assert "Cmd" not in settings


def test_same_image_gives_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    oci.write(IMAGE, tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == archive.read_bytes()


def test_containerd_finds_the_name_and_we_both(archive: Path) -> None:
    (entry,) = json.loads(contents(archive)["index.json"])["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "example.org/tool:1"
    assert oci.name_and_digest(archive) == ("example.org/tool:1", entry["digest"])


def test_nothing_half_written_is_left_beside_the_archive(archive: Path) -> None:
    assert list(archive.parent.iterdir()) == [archive]
