"""Copies between this machine and a Sandbox: every byte, many files, and hostile archives."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import support
from cluster import Cluster
from command_line import CommandLine, with_sandbox

BIG = 100 * 1024 * 1024
MANY = 10_000


@pytest.fixture(scope="module")
def cli(ringfence: Cluster) -> Iterator[CommandLine]:
    with with_sandbox(ringfence) as found:
        yield found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_100_megabytes_of_any_bytes_go_in_and_come_out_the_same(
    cli: CommandLine, tmp_path: Path
) -> None:
    here, back = tmp_path / "here", tmp_path / "back"
    with here.open("wb") as file:
        file.writelines(os.urandom(1024 * 1024) for _ in range(BIG // 1024 // 1024))
    cli.text("cp", str(here), "demo:/work/there")
    said = support.execute(cli.cluster, cli.namespace, "demo", "sha256sum", "/work/there")
    assert said.split()[0] == _digest(here)
    cli.text("cp", "demo:/work/there", str(back))
    assert _digest(back) == _digest(here)


def test_10_000_small_files_go_in_and_come_out_the_same(cli: CommandLine, tmp_path: Path) -> None:
    here = tmp_path / "here"
    for number in range(MANY):
        path = here / f"{number % 100}" / f"file {number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d\n" % number)
    cli.text("cp", str(here), "demo:/work/many")
    count = support.execute(
        cli.cluster, cli.namespace, "demo", "sh", "-c", "find /work/many -type f | wc -l"
    )
    assert int(count) == MANY
    cli.text("cp", "demo:/work/many", str(tmp_path / "back"))
    for number in range(MANY):
        path = tmp_path / "back" / f"{number % 100}" / f"file {number}"
        assert path.read_bytes() == b"%d\n" % number


def test_hostile_tar_in_the_sandbox_writes_nothing_outside(
    cli: CommandLine, tmp_path: Path
) -> None:
    """The agent puts a tar of its own before the real one: it answers with what it likes."""
    program = r"""
import io, os, sys, tarfile
os.makedirs("/work/.local/bin", exist_ok=True)
out = io.BytesIO()
tar = tarfile.open(fileobj=out, mode="w")
def add(name, data=b"", **fields):
    info = tarfile.TarInfo(name); info.size = len(data)
    for key, value in fields.items(): setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))
add("../outside", b"evil")
add("/tmp/ringfence-e2e-outside", b"evil")
add("link", type=tarfile.SYMTYPE, linkname="..")
add("link/outside", b"evil")
add("device", type=tarfile.CHRTYPE)
add("good", b"good")
tar.close()
open("/work/evil.tar", "wb").write(out.getvalue())
open("/work/.local/bin/tar", "w").write("#!/bin/sh\nexec cat /work/evil.tar\n")
os.chmod("/work/.local/bin/tar", 0o755)
os.makedirs("/work/results", exist_ok=True)
"""
    support.python(cli.cluster, cli.namespace, "demo", program)
    try:
        target = tmp_path / "top" / "target"
        target.parent.mkdir()
        done = cli.run("cp", "demo:/work/results", str(target))
        assert done.returncode == 0, done.stderr.decode()
        assert {path.name for path in target.parent.iterdir()} == {"target"}
        assert (target / "good").read_bytes() == b"good"
        assert not (target / "device").exists()
        assert not Path("/tmp/ringfence-e2e-outside").exists()  # noqa: S108 - the attack's choice
        assert "left out" in done.stderr.decode()
    finally:
        support.execute(cli.cluster, cli.namespace, "demo", "rm", "/work/.local/bin/tar")


def test_endless_answer_is_cut_at_the_limit_and_leaves_nothing(
    cli: CommandLine, tmp_path: Path
) -> None:
    script = """mkdir -p /work/.local/bin; cd /work/.local/bin
printf '%s\\n' "$@" > cat; chmod +x cat"""
    lines = ("#!/bin/sh", "exec /bin/cat /dev/zero")
    support.execute(cli.cluster, cli.namespace, "demo", "sh", "-c", script, "sh", *lines)
    try:
        done = cli.run("cp", "--limit", "5Mi", "demo:/etc/passwd", str(tmp_path / "passwd"))
        assert done.returncode == 3
        assert "limit" in done.stderr.decode()
        assert list(tmp_path.iterdir()) == []
        assert cli.processes("demo", "/dev/zero") == []
    finally:
        support.execute(cli.cluster, cli.namespace, "demo", "rm", "/work/.local/bin/cat")


def test_what_cannot_be_written_is_told_in_the_words_of_the_sandbox(
    cli: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    done = cli.run("cp", str(tmp_path / "file"), "demo:/etc/passwd")
    assert done.returncode == 3
    assert "Read-only file system" in done.stderr.decode()
