"""The supervisor finds its components by name and tells which one died, with its last words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cluster import config, processes
from cluster.errors import ClusterError
from cluster.shell import wait_until
from cluster.supervisor import Supervisor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def paths(tmp_path: Path) -> config.Paths:
    made = config.Paths(state=tmp_path / "state", cache=tmp_path / "cache")
    made.logs.mkdir(parents=True)
    made.pids.mkdir()
    return made


def test_dead_component_is_named_with_its_last_20_lines(paths: config.Paths) -> None:
    log = paths.logs / "etcd.log"
    found = processes.start(["sh", "-c", "seq 100; sleep 0.2"], log)
    processes.write_pid_file(paths.pids / "etcd.pid", found)
    supervisor = Supervisor(paths)
    supervisor.require_alive(["etcd"])
    wait_until("death", lambda: not found.alive, 5)
    with pytest.raises(ClusterError) as caught:
        supervisor.require_alive(["etcd"])
    first, *rest = str(caught.value).splitlines()
    assert first == f"etcd died. The end of its log {log}:"
    assert rest == [str(number) for number in range(81, 101)]


def test_unknown_component_is_refused_with_the_known_names(paths: config.Paths) -> None:
    with pytest.raises(ClusterError, match=r"no component 'kublet'; there are: etcd, apiserver"):
        Supervisor(paths).stop("kublet")


def test_component_without_pid_file_is_not_running(paths: config.Paths) -> None:
    assert Supervisor(paths).find("kubelet") is None


def test_program_for_a_missing_node_says_how_to_start_it(paths: config.Paths) -> None:
    with pytest.raises(ClusterError, match="`python -m cluster up` starts it"):
        Supervisor(paths).node_pid()
