"""Layers and archives depend on content alone, and a change rebuilds no more than it must."""

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from images import archive, layer, recipe, steps


def _tree(root: Path, names: list[str]) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (root / "link").symlink_to("/etc/passwd")
    return root


def test_order_owner_and_time_do_not_change_a_layer(tmp_path: Path) -> None:
    names = ["a/b", "a/c", "z"]
    first = layer.write(_tree(tmp_path / "one", names), tmp_path / "one.tar")
    again = _tree(tmp_path / "two", names[::-1])
    os.utime(again / "z", (layer.EPOCH + 5, layer.EPOCH + 5))
    os.chown(again / "z", 1234, 1234)

    assert layer.write(again, tmp_path / "two.tar").digest == first.digest


def test_content_and_mode_change_a_layer(tmp_path: Path) -> None:
    root = _tree(tmp_path / "one", ["a"])
    first = layer.write(root, tmp_path / "one.tar")
    (root / "a").chmod(0o755)

    assert layer.write(root, tmp_path / "two.tar").digest != first.digest


def test_what_every_container_mounts_over_is_left_out(tmp_path: Path) -> None:
    root = _tree(tmp_path / "one", ["dev/null", "proc/1", "sys/x", "run/y", "etc/z"])
    written = layer.write(root, tmp_path / "one.tar")

    with tarfile.open(written.path) as tar:
        names = set(tar.getnames())
    assert {"./dev", "./proc", "./sys", "./run", "./etc/z"} <= names
    assert not names & {"./dev/null", "./proc/1", "./sys/x", "./run/y"}


def test_a_layer_that_failed_is_not_in_the_cache(tmp_path: Path) -> None:
    target = tmp_path / "absent" / "one.tar"

    with pytest.raises(subprocess.CalledProcessError):
        layer.write(_tree(tmp_path / "one", ["a"]), target)

    assert layer.cached(target) is None


def test_an_archive_describes_exactly_the_blobs_it_holds(tmp_path: Path) -> None:
    wanted = recipe.load("proxy")
    written = layer.write(_tree(tmp_path / "one", ["a"]), tmp_path / "one.tar")
    target = tmp_path / "image.tar"

    archive.write(wanted, "ringfence.dev/proxy:1", [written], target)

    with tarfile.open(target) as tar:
        content = {item.name: _read(tar, item) for item in tar}
    entry = json.loads(content["index.json"])["manifests"][0]
    manifest = json.loads(content[_blob(entry)])
    config = json.loads(content[_blob(manifest["config"])])
    assert entry["annotations"]["io.containerd.image.name"] == "ringfence.dev/proxy:1"
    assert len(content[_blob(manifest["layers"][0])]) == manifest["layers"][0]["size"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{written.digest}"]
    assert config["config"]["User"] == wanted.user


def _read(tar: tarfile.TarFile, item: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(item)
    assert stream
    return stream.read()


def _blob(descriptor: dict[str, str]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _changed(wanted: recipe.Recipe, **changes: object) -> set[str]:
    """Which layers a changed recipe makes again."""
    before = steps.steps(wanted)
    after = steps.steps(wanted.model_copy(update=changes))
    return {old.name for old, new in zip(before, after, strict=True) if old.key != new.key}


def test_a_change_rebuilds_its_own_layer_alone() -> None:
    wanted = recipe.load("operator")
    more = wanted.debian.model_copy(update={"packages": ("libc6",)})

    assert _changed(wanted) == set()
    assert _changed(wanted, env={"A": "b"}) == set()
    assert _changed(wanted, links={"/a": "/b"}) == {"files"}
    assert _changed(wanted, debian=more) == {"debian"}


def test_the_code_is_the_operator_images_top_layer() -> None:
    assert [step.name for step in steps.steps(recipe.load("operator"))][-1] == "project"


def test_another_ca_is_another_image(tmp_path: Path) -> None:
    one, two = tmp_path / "one.pem", tmp_path / "two.pem"
    one.write_text("one")
    two.write_text("two")

    assert steps.extra_ca(one).key != steps.extra_ca(two).key
