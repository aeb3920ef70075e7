"""The reading of /proc, on this kernel's own processes; setting of RLIMIT_NPROC needs root."""

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.node import files
from ringfence.node.processes import Processes
from ringfence.node.procfs import Confinement

SELF = os.getpid()
GONE = 2**22 + 1
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs to change its ids")


@pytest.fixture
def child() -> Iterator[int]:
    """A process with ids of its own."""
    process = subprocess.Popen(["sleep", "60"], user=31234, group=31235, extra_groups=[])
    yield process.pid
    process.kill()
    process.wait()


def test_own_process_is_read_as_python_sees_it() -> None:
    processes = Processes()
    status = processes.status(SELF)
    assert status is not None
    assert status.uids[:3] == os.getresuid()
    assert status.gids[:3] == os.getresgid()
    assert processes.process_limit(SELF) in (resource.getrlimit(resource.RLIMIT_NPROC)[1], None)
    assert processes.namespaces(SELF) is not None
    assert 0 <= (processes.age(SELF) or -1) < 10**6
    assert [m.point for m in processes.mounts(SELF) if m.point == "/proc"]


def test_process_that_has_gone_is_no_error() -> None:
    processes = Processes()
    found = (processes.status(GONE), processes.namespaces(GONE), processes.process_limit(GONE))
    assert found == (None, None, None)
    assert processes.mounts(GONE) == processes.uid_map(GONE) == ()
    assert processes.age(GONE) is None


def test_ended_process_that_nobody_waited_for_has_no_status() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert Processes().status(process.pid) is None
    process.wait()


@as_root
def test_process_limit_is_lowered_and_never_raised(child: int) -> None:
    processes = Processes()
    status = processes.status(child)
    assert status is not None
    processes.lower_process_limit(child, status, 100)
    assert processes.process_limit(child) == 100
    processes.lower_process_limit(child, status, 200)
    assert processes.process_limit(child) == 100


@as_root
def test_own_ids_and_rights_are_as_before(child: int) -> None:
    processes = Processes()
    before = files.read("/proc/self/status")
    status = processes.status(child)
    assert status is not None
    processes.lower_process_limit(child, status, 100)
    after = files.read("/proc/self/status")
    assert before is not None
    assert after is not None
    for line in ("Uid:", "Gid:", "CapEff:", "CapPrm:"):
        assert _line(before, line) == _line(after, line)


def _line(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """/proc and /sys of a kernel with AppArmor."""
    (tmp_path / "7" / "attr" / "apparmor").mkdir(parents=True)
    (tmp_path / "module" / "apparmor" / "parameters").mkdir(parents=True)
    (tmp_path / "module" / "apparmor" / "parameters" / "enabled").write_text("Y\n")
    return tmp_path


def test_confinement_is_that_of_app_armor_beside_another_module(proc: Path) -> None:
    """With SELinux first, attr/current is SELinux's."""
    (proc / "7" / "attr" / "current").write_text("system_u:system_r:container_t:s0\0")
    (proc / "7" / "attr" / "apparmor" / "current").write_text("sandbox (enforce)\n")
    found = Processes(str(proc), str(proc)).confinement(7)
    assert found == Confinement("sandbox", "enforce")


def test_older_kernels_have_one_confinement(proc: Path) -> None:
    (proc / "7" / "attr" / "current").write_text("sandbox (complain)\n")
    assert Processes(str(proc), str(proc)).confinement(7) == Confinement("sandbox", "complain")


def test_app_armor_that_is_off_confines_nobody(proc: Path) -> None:
    (proc / "module" / "apparmor" / "parameters" / "enabled").write_text("N\n")
    processes = Processes(str(proc), str(proc))
    assert processes.confinement(7) is None
    assert not processes.app_armor_enabled()


def test_disk_of_a_partition_is_the_whole_disk(tmp_path: Path) -> None:
    disk = tmp_path / "devices" / "sda"
    (disk / "sda1").mkdir(parents=True)
    (disk / "dev").write_text("8:0\n")
    (disk / "sda1" / "partition").write_text("1\n")
    links = tmp_path / "dev" / "block"
    links.mkdir(parents=True)
    (links / "8:1").symlink_to(disk / "sda1")
    (links / "8:0").symlink_to(disk)
    processes = Processes(sys=str(tmp_path))
    assert processes.whole_disk("8:1") == processes.whole_disk("8:0") == "8:0"
    assert processes.whole_disk("0:33") is None
