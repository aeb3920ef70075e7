"""Disks of node 2 are made again when, and only when, what is on them changes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cluster import config, disks, images, oci, rootfs
from cluster.errors import ClusterError
from cluster.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def paths(tmp_path: Path) -> config.Paths:
    made = config.Paths(state=tmp_path / "state", cache=tmp_path / "cache")
    for directory in (made.state, made.bin, made.disks):
        directory.mkdir(parents=True)
    for program in ("kube", "kube-router"):
        (made.bin / f".{program}.stamp").write_text("1")
    return made


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write(tmp_path / "tool.tar", b"program")


def write(target: Path, content: bytes) -> Path:
    oci.write(oci.Image("example.org/tool:1", {"tool": content}, {}), target)
    return target


def test_key_stays_when_the_same_images_come_from_other_files(
    paths: config.Paths, archive: Path
) -> None:
    copy = write(archive.with_name("copy.tar"), b"program")
    assert disks.store_key(paths, [archive]) == disks.store_key(paths, [copy])


def test_key_changes_with_an_image(paths: config.Paths, archive: Path) -> None:
    before = disks.store_key(paths, [archive])
    assert disks.store_key(paths, []) != before
    write(archive, b"another program")
    assert disks.store_key(paths, [archive]) != before


@pytest.mark.parametrize("program", ["kube", "kube-router"])
def test_key_changes_with_a_program(paths: config.Paths, program: str) -> None:
    before = disks.store_key(paths, [])
    (paths.bin / f".{program}.stamp").write_text("2")
    assert disks.store_key(paths, []) != before


def test_key_changes_with_the_containerd_that_imports(
    paths: config.Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = disks.store_key(paths, [])
    monkeypatch.setattr(rootfs, "PACKAGES", ("containerd-of-tomorrow",))
    assert disks.store_key(paths, []) != before


def test_latest_used_disks_are_kept_and_older_ones_removed(paths: config.Paths) -> None:
    for age, name in enumerate(("store-c", "store-b", "store-a", "root-a")):
        file = paths.disks / f"{name}.ext4"
        file.touch()
        os.utime(file, (1000 - age, 1000 - age))
    key = disks.store_key(paths, [])
    used = paths.disks / f"store-{key}.ext4"
    used.touch()
    assert disks.store(paths, [], Progress()) == used
    kept = {file.stem for file in paths.disks.iterdir()}
    assert kept == {"root-a", "store-c", used.stem}


def test_machine_without_a_kernel_for_node_2_is_told_so(paths: config.Paths) -> None:
    with pytest.raises(ClusterError, match="no kernel: node 2 needs an x86-64 machine"):
        disks.kernel(paths)


def test_what_node_1_was_given_stays_known_when_the_archive_is_built_anew(
    paths: config.Paths, archive: Path
) -> None:
    images.remember(paths, archive)
    (known,) = images.loaded(paths)
    before = oci.name_and_digest(archive)
    write(archive, b"another program")
    assert oci.name_and_digest(known) == before
    images.remember(paths, archive)
    assert [oci.name_and_digest(one) for one in images.loaded(paths)] == [
        oci.name_and_digest(archive)
    ]
