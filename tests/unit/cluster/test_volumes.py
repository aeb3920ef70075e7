"""Volumes of the test cluster: which claim gets one, of what size, and whose loop devices count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cluster import config
from cluster.volumes import claims, disks

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]


def _claim(class_name: str = config.STORAGE_CLASS, size: str = "64Mi", **more: Any) -> Json:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
        "storageClassName": class_name,
        **more,
    }
    meta = {"name": "demo-workspace", "namespace": "agents", "uid": "1-2"}
    return {"kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}


def _with(claim: Json, **meta: Any) -> Json:
    return claim | {"metadata": claim["metadata"] | meta}


def test_new_claim_of_our_class_wants_a_volume() -> None:
    assert claims.wants_volume(_claim())


@pytest.mark.parametrize(
    "claim",
    [
        _claim("standard"),
        _claim(volumeName="pvc-1-2"),
        _with(_claim(), deletionTimestamp="2026-01-01T12:00:00Z"),
        _claim(config.WAITING_STORAGE_CLASS),
        _with(_claim(config.WAITING_STORAGE_CLASS), annotations={claims.SELECTED_NODE: "node-2"}),
    ],
    ids=["foreign class", "bound", "being deleted", "no node yet", "another node"],
)
def test_claim_that_is_not_ours_to_serve_is_left_alone(claim: Json) -> None:
    assert not claims.wants_volume(claim)


def test_claim_that_waits_is_served_once_our_node_is_chosen() -> None:
    chosen = {claims.SELECTED_NODE: config.NODE_NAME}
    assert claims.wants_volume(_with(_claim(config.WAITING_STORAGE_CLASS), annotations=chosen))


@pytest.mark.parametrize(("size", "whole"), [("64Mi", 2**26), ("0.1", 1), ("1500m", 2), ("7", 7)])
def test_size_is_in_whole_bytes(size: str, whole: int) -> None:
    assert claims.size_of(_claim(size=size)) == whole


def test_volume_is_bound_to_its_claim_and_its_node() -> None:
    volume = claims.volume_of(_claim(), "/volumes/pvc-1-2")
    spec = volume["spec"]
    assert spec["claimRef"]["uid"] == "1-2"
    assert spec["capacity"] == {"storage": "64Mi"}
    (term,) = spec["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"][0]["values"] == [config.NODE_NAME]


def test_only_our_own_released_volume_is_removed() -> None:
    volume = claims.volume_of(_claim(), "/volumes/pvc-1-2")
    assert not claims.is_done_with(volume | {"status": {"phase": "Bound"}})
    released = volume | {"status": {"phase": "Released"}}
    assert claims.is_done_with(released)
    assert not claims.is_done_with(_with(released, annotations={}))


def test_storage_classes_of_the_manifest_are_those_of_the_provisioner() -> None:
    manifests = yaml.safe_load_all((config.SOURCES / "data" / "storage.yaml").read_text())
    found = {m["metadata"]["name"]: m for m in manifests if m["kind"] == "StorageClass"}
    modes = {name: body["volumeBindingMode"] for name, body in found.items()}
    assert modes == {
        config.STORAGE_CLASS: "Immediate",
        config.WAITING_STORAGE_CLASS: "WaitForFirstConsumer",
    }
    assert {body["provisioner"] for body in found.values()} == {claims.PROVISIONER}


def _device(devices: Path, name: str, file: str | None) -> None:
    (devices / name).mkdir()
    if file is not None:
        (devices / name / "loop").mkdir()
        (devices / name / "loop" / "backing_file").write_text(f"{file}\n")


def test_only_loop_devices_of_our_own_files_count(tmp_path: Path) -> None:
    ours = config.default_paths().state
    _device(tmp_path, "loop0", None)
    _device(tmp_path, "loop1", f"{ours}/node-1/volumes/a.img")
    _device(tmp_path, "loop2", f"{ours}/node-1/volumes/b.img (deleted)")
    _device(tmp_path, "loop3", f"{ours}9/node-1/volumes/c.img")
    _device(tmp_path, "loop4", "/home/somebody/disk.img")
    found = disks.held(ours, tmp_path)
    assert [file.rpartition("/")[2] for file in found] == ["a.img", "b.img (deleted)"]
