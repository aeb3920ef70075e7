"""The embedded driver refuses what it cannot do before it touches anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cluster import config
from cluster.embedded import EmbeddedDriver
from cluster.errors import ClusterError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def driver(tmp_path: Path) -> EmbeddedDriver:
    return EmbeddedDriver(config.Paths(state=tmp_path / "state", cache=tmp_path / "cache"))


@pytest.mark.parametrize("command", ["create", "delete"])
def test_only_root_may_change_anything(
    driver: EmbeddedDriver, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match=r"needs Linux and root.*--driver kind"):
        getattr(driver, command)()
    assert list(driver.paths.state.parent.iterdir()) == []


def test_status_without_a_cluster_says_how_to_get_one(driver: EmbeddedDriver) -> None:
    assert driver.status() == "not up: `python -m cluster up` makes a cluster"


def test_log_of_an_unknown_component_is_refused_with_the_known_names(
    driver: EmbeddedDriver,
) -> None:
    driver.paths.logs.mkdir(parents=True)
    (driver.paths.logs / "etcd.log").write_text("up\n")
    assert driver.logs("etcd") == "up\n"
    with pytest.raises(ClusterError, match="no log of 'kublet'; there are: etcd"):
        driver.logs("kublet")
