"""`up` and `down` leave the machine as it was, also when they are interrupted or killed.

These tests run a second, separate cluster through the command line, so that the one the
other tests use stays untouched.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cluster import config
from cluster.shell import run, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)

INSTANCE = "7"
STATE = Path(f"/var/lib/ringfence-cluster{INSTANCE}")
PREFIX = f"rf{INSTANCE}-"
ENVIRONMENT = os.environ | {
    "RINGFENCE_CLUSTER_INSTANCE": INSTANCE,
    "PYTHONPATH": str(Path(__file__).parent),
}


def argv(command: str) -> list[str]:
    """The command line of the cluster."""
    return [sys.executable, "-m", "cluster", command, "--driver", "embedded"]


def cli(command: str) -> str:
    """Run a command of the second cluster; returns what it told."""
    done = run(*argv(command), env=ENVIRONMENT)
    return done.stdout + done.stderr


def interrupt_when(file: str, number: signal.Signals) -> int:
    """Start `up` and send a signal as soon as a file of the state exists."""
    with subprocess.Popen(
        argv("up"), env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_until(file, (STATE / file).exists, 60)
            process.send_signal(number)
            return process.wait(60)
        finally:
            process.kill()


def leftovers() -> list[str]:
    """What of the second cluster is on the machine: processes, links, groups, files."""
    places = [
        STATE,
        *Path("/run/netns").glob(f"{PREFIX}*"),
        *Path("/sys/class/net").glob(f"{PREFIX}*"),
        *Path("/sys/fs/cgroup").glob(f"*/{STATE.name}"),
    ]
    found = [str(path) for path in places if path.exists()]
    return found + mentioning(Path("/proc/self/mounts").read_text()) + processes()


def processes() -> list[str]:
    """Processes whose command line names the second cluster or that run in its cgroup."""
    return mentioning(run("ps", "-ww", "-eo", "pid,cgroup:1000,args").stdout)


def mentioning(text: str) -> list[str]:
    """The lines that speak of the second cluster."""
    return [line for line in text.splitlines() if STATE.name in line or PREFIX in line]


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    """Begin and end without the second cluster."""
    cli("down")
    yield
    cli("down")
    assert leftovers() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_up_removes_what_it_started(number: signal.Signals) -> None:
    assert interrupt_when("pids/kubelet.pid", number) == 130
    assert leftovers() == []


def test_down_removes_what_a_killed_up_left() -> None:
    interrupt_when("pids/kubelet.pid", signal.SIGKILL)
    assert leftovers() != []
    cli("down")
    assert leftovers() == []


def test_up_after_a_killed_up_and_down_after_pods_ran() -> None:
    interrupt_when("pids/apiserver.pid", signal.SIGKILL)
    assert "up after" in cli("up")
    assert "node-1               Ready" in cli("status")
    assert any("/coredns -conf" in line for line in processes())


def test_two_racing_ups_make_one_cluster() -> None:
    with subprocess.Popen(
        argv("up"), env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as first:
        wait_until("first", (STATE / "pids/etcd.pid").exists, 60)
        told = cli("up")
        assert first.wait(60) == 0
    assert "waiting for another" in told
    assert "already up" in told


def test_failed_start_names_the_component_that_died_and_its_last_words(
    cache_with_broken_kube_router: Path,
) -> None:
    environment = ENVIRONMENT | {"RINGFENCE_CACHE": str(cache_with_broken_kube_router)}
    failed = run(*argv("up"), env=environment, check=False)
    assert failed.returncode == 1
    assert "error: kube-router died." in failed.stderr
    assert failed.stderr.endswith("no table for me\n")
    assert run(*argv("logs"), "kube-router", env=environment).stdout == "no table for me\n\n"


@pytest.fixture
def cache_with_broken_kube_router() -> Iterator[Path]:
    """The real cache, but for one program; hard links, as the node sees only this directory."""
    real = config.cache_dir()
    with tempfile.TemporaryDirectory(dir=real.parent, prefix=f"{real.name}-test-") as directory:
        cache = Path(directory)
        (cache / "bin").mkdir()
        for name in ("rootfs", "images"):
            (cache / name).symlink_to(real / name)
        for file in (real / "bin").iterdir():
            (cache / "bin" / file.name).hardlink_to(file)
        broken = cache / "bin" / "kube-router"
        broken.unlink()
        broken.write_text("#!/bin/sh\necho no table for me\nexit 1\n")
        broken.chmod(0o755)
        yield cache


def test_down_without_a_cluster_says_nothing_wrong() -> None:
    assert "error" not in cli("down")
