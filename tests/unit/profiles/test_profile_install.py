"""The installer on a real directory: the file is whole, verified, repaired and never edited."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ringfence.profiles.install import NotInstalledError, ensure, main, node_arch
from ringfence.profiles.seccomp import Arch, localhost_profile, render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INTERVAL = "0.05"
DEADLINE = 10.0
# A process of its own is started without the test's imports, to see what it really needs.
PROGRAM = (
    "import sys; from ringfence.profiles.install import main; code = main(sys.argv[1:]);"
    "heavy = {'kopf', 'kubernetes', 'pydantic', 'structlog', 'yaml', 'asyncio'} & set(sys.modules);"
    "sys.exit(99 if heavy else code)"
)


def _start(root: Path) -> subprocess.Popen[str]:
    arguments = ["--seccomp-root", str(root), "--interval", INTERVAL]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.fixture(name="daemon")
def _daemon(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = _start(tmp_path)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def _event(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout
    line: dict[str, str] = json.loads(process.stdout.readline())
    return line


def _until_content(path: Path, content: bytes) -> None:
    deadline = time.monotonic() + DEADLINE
    while not (path.is_file() and path.read_bytes() == content):
        assert time.monotonic() < deadline, f"{path} was not put back"
        time.sleep(0.02)


@pytest.fixture(name="content")
def _content() -> bytes:
    return render(node_arch(platform.machine()))


def test_once_installs_this_nodes_profile_under_the_name_pods_use(
    tmp_path: Path, content: bytes
) -> None:
    root = tmp_path / "not" / "there" / "yet"
    assert main(["--once", "--seccomp-root", str(root)]) == 0
    installed = root / localhost_profile()
    assert installed.read_bytes() == content
    assert installed.stat().st_mode & 0o7777 == 0o644
    assert [path.name for path in installed.parent.iterdir()] == [installed.name]


def test_a_right_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    assert ensure(path, b"{}\n")
    before = path.stat()
    assert not ensure(path, b"{}\n")
    assert path.stat() == before


@pytest.mark.parametrize("wrong", [b"", b"{}", b"{}\nlonger"])
def test_a_wrong_file_is_replaced_and_never_written_to(tmp_path: Path, wrong: bytes) -> None:
    """A container that has the old file open keeps reading the old content to its end."""
    path = tmp_path / "profile.json"
    path.write_bytes(wrong)
    with path.open("rb") as reader:
        assert ensure(path, b"{}\n")
        assert reader.read() == wrong
    assert path.read_bytes() == b"{}\n"


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "profile.json"
    target.write_bytes(b"{}\n")
    target.chmod(0o644)
    path.symlink_to(target)
    assert ensure(path, b"{}\n")
    assert not path.is_symlink()
    assert target.read_bytes() == b"{}\n"


def test_a_mode_that_others_could_write_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    ensure(path, b"{}\n")
    path.chmod(0o666)
    assert ensure(path, b"{}\n")
    assert path.stat().st_mode & 0o7777 == 0o644


def test_profiles_of_other_releases_stay(tmp_path: Path) -> None:
    older = tmp_path / "ringfence" / "sandbox-agent-00000000.json"
    older.parent.mkdir()
    older.write_bytes(b"older")
    assert main(["--once", "--seccomp-root", str(tmp_path)]) == 0
    assert older.read_bytes() == b"older"


def test_failure_names_the_file_and_leaves_no_temporary_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / localhost_profile()
    blocked.mkdir(parents=True)
    (blocked / "content").touch()  # a directory that rename cannot replace
    assert main(["--once", "--seccomp-root", str(tmp_path)]) == 1
    line = json.loads(capsys.readouterr().out)
    assert line["level"] == "error"
    assert str(blocked) in line["reason"]
    assert [path.name for path in blocked.parent.iterdir()] == [blocked.name]


def test_unknown_architecture_is_refused_with_the_way_out() -> None:
    with pytest.raises(NotInstalledError, match=r"riscv64.*keep sandboxes off this node"):
        node_arch("riscv64")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_kernels_own_architecture_names_are_understood(machine: str) -> None:
    assert node_arch(machine) is Arch(machine)


@pytest.mark.parametrize("interval", ["0", "-1", "3601", "soon"])
def test_bad_interval_is_refused(interval: str) -> None:
    with pytest.raises(SystemExit):
        main(["--interval", interval])


def test_removed_and_altered_files_are_put_back_while_it_runs(
    tmp_path: Path, daemon: subprocess.Popen[str], content: bytes
) -> None:
    path = tmp_path / localhost_profile()
    assert _event(daemon)["event"] == "profile installed"
    _until_content(path, content)
    path.unlink()
    assert _event(daemon)["event"] == "profile installed"
    _until_content(path, content)
    path.write_bytes(b'{"defaultAction": "SCMP_ACT_ALLOW"}')
    assert _event(daemon)["event"] == "profile repaired"
    _until_content(path, content)


def test_sigterm_ends_it_at_once_with_success_and_without_heavy_imports(
    daemon: subprocess.Popen[str],
) -> None:
    _event(daemon)
    started = time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(DEADLINE) == 0
    assert time.monotonic() - started < 1.0


def test_a_finished_run_leaves_the_callers_signals_as_they_were(tmp_path: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    main(["--once", "--seccomp-root", str(tmp_path)])
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
