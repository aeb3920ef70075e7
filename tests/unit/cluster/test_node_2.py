"""Node 2 tells which part of it died; without a cluster it says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cluster import config, processes
from cluster.embedded import EmbeddedDriver
from cluster.errors import ClusterError
from cluster.node_2 import Node2
from cluster.progress import Progress
from cluster.shell import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def paths(tmp_path: Path) -> config.Paths:
    made = config.Paths(state=tmp_path / "state", cache=tmp_path / "cache")
    for directory in (made.logs, made.pids, made.node_2):
        directory.mkdir(parents=True)
    return made


@pytest.fixture
def node(paths: config.Paths) -> Node2:
    return Node2(paths, Progress())


@pytest.fixture
def machine(paths: config.Paths) -> Iterator[processes.Process]:
    """Stands for QEMU: runs for a while and writes the console."""
    script = "echo booted; sleep 60"
    found = processes.start(["sh", "-c", script], paths.logs / "node-2.log")
    processes.write_pid_file(paths.pids / "node-2.pid", found)
    wait_until("console", lambda: "booted" in processes.tail(paths.logs / "node-2.log"), 5)
    yield found
    processes.kill([found])


def test_machine_that_died_is_named_with_the_end_of_its_console(
    node: Node2, machine: processes.Process
) -> None:
    node.require_alive()
    processes.kill([machine])
    with pytest.raises(ClusterError, match=r"(?s)^node-2 died\..*booted$"):
        node.require_alive()


@pytest.mark.usefixtures("machine")
def test_daemon_that_died_is_named_with_the_end_of_its_log(
    node: Node2, paths: config.Paths
) -> None:
    (paths.logs / "node-2-kubelet.log").write_text("no certificate for me\n")
    with (paths.logs / "node-2.log").open("a") as console:
        console.write("[ 9.1] noise\r\nringfence: kubelet ended with status 1\r\n")
    with pytest.raises(ClusterError, match=r"(?s)^node-2-kubelet died\..*no certificate for me$"):
        node.require_alive()


@pytest.mark.usefixtures("machine")
def test_machine_that_was_not_started_to_the_end_is_not_running(
    node: Node2, paths: config.Paths
) -> None:
    assert not node.running
    (paths.node_2 / "complete").touch()
    assert not node.running  # there is no connection to it


def test_program_for_a_node_2_that_does_not_run_says_how_to_start_it(node: Node2) -> None:
    with pytest.raises(ClusterError, match="`python -m cluster node-2 up` starts it"):
        node.exec("true")


def test_node_2_needs_a_cluster(paths: config.Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.embedded._require_root_on_linux", lambda: None)
    monkeypatch.setattr("cluster.embedded._LOCKED", paths.state)  # no other `up` is waited for
    with pytest.raises(ClusterError, match="no cluster: `python -m cluster up` first"):
        EmbeddedDriver(paths, Progress()).start_node_2()


def test_status_of_a_node_2_that_was_not_started(node: Node2) -> None:
    assert node.status() == "not running"
