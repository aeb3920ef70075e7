"""Files as a user of the SDK handles them; programs of this machine play those of the image."""

import io
import os
import socket
import stat
from pathlib import Path

import pytest

from local_cluster import LocalCluster
from ringfence.client.wakeup import Wakeup
from ringfence.sdk import copying, pack
from ringfence.sdk.errors import FileError, InvalidArgument, NotFound, SandboxError
from ringfence.sdk.files import FileInfo, Files
from ringfence.sdk.unpack import Limits


@pytest.fixture
def files(cluster: LocalCluster) -> Files:
    return Files(cluster.place())


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory of this machine."""
    found = tmp_path / "here"
    found.mkdir()
    return found


def test_what_was_written_is_read(files: Files, cluster: LocalCluster) -> None:
    data = os.urandom(2_000_003)
    files.write("deep/er/data", data)
    assert files.read("deep/er/data", "bytes") == data
    files.write("text", "ü\n")
    assert files.read("text") == "ü\n"
    files.write("empty", b"")
    assert files.read("empty") == ""
    files.write("-n", io.BytesIO(b"of a file"))
    assert files.read("-n") == "of a file"
    assert sorted(path.name for path in cluster.work.iterdir()) == ["-n", "deep", "empty", "text"]


def test_missing_file_is_not_found(files: Files) -> None:
    with pytest.raises(NotFound, match="none: no such file or directory in Sandbox demo"):
        files.read("none")
    for act in (files.remove, files.list):
        with pytest.raises(NotFound):
            act("none")
    with pytest.raises(NotFound):
        files.rename("none", "other")


def test_endless_file_is_not_read_into_memory(files: Files) -> None:
    with pytest.raises(FileError, match="more than 1000 bytes"):
        files.read("/dev/zero", limit=1000)


def test_words_of_the_sandbox_in_an_error_do_not_steer_the_terminal(
    files: Files, cluster: LocalCluster
) -> None:
    (cluster.work / "\x1b[31mred").mkdir()
    with pytest.raises(FileError) as caught:
        files.read("\x1b[31mred")
    assert "\x1b" not in str(caught.value).partition(": ")[2]


def test_list_tells_kinds_sizes_and_odd_names(files: Files, cluster: LocalCluster) -> None:
    (cluster.work / "a\nb").write_bytes(b"123")
    (cluster.work / ".hidden").mkdir()
    (cluster.work / "..odd").symlink_to("nowhere")
    (cluster.work / "run").write_text("x")
    (cluster.work / "run").chmod(0o750)
    found = {info.name: info for info in files.list()}
    assert set(found) == {"a\nb", ".hidden", "..odd", "run"}
    assert (found["a\nb"].kind, found["a\nb"].size) == ("file", 3)
    assert found[".hidden"].kind == "directory"
    assert found["..odd"].kind == "symlink"
    assert found["run"].mode == 0o750
    assert isinstance(found["run"], FileInfo)


def test_empty_directory_has_nothing_in_it(files: Files) -> None:
    assert files.list(".") == []


def test_made_renamed_and_removed(files: Files, cluster: LocalCluster) -> None:
    files.make_dir("a/b")
    files.write("a/b/c", "1")
    files.rename("a/b", "d")
    assert (cluster.work / "d/c").read_text() == "1"
    (cluster.work / "link").symlink_to("nowhere")
    assert files.exists("link")
    files.remove("link")
    files.remove("d")
    assert not files.exists("d")


def tree(root: Path) -> None:
    """Files, directories, links, an executable, a long name."""
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/data").write_bytes(bytes(range(256)) * 1000)
    (root / "a/run").write_text("#!/bin/sh\n")
    (root / "a/run").chmod(0o755)
    (root / "link").symlink_to("a/b/data")
    (root / "a/up").symlink_to("../link")
    (root / "empty").mkdir()
    (root / ("n" * 200)).write_text("long")
    deep = root.joinpath(*(["d" * 60] * 4))
    deep.mkdir(parents=True)
    (deep / "file").write_text("deep")


def same(one: Path, other: Path) -> None:
    """Fails unless both hold the same."""
    names = sorted(str(p.relative_to(one)) for p in one.rglob("*"))
    assert names == sorted(str(p.relative_to(other)) for p in other.rglob("*"))
    for name in names:
        left, right = one / name, other / name
        assert left.is_symlink() == right.is_symlink(), name
        if left.is_symlink():
            assert left.readlink() == right.readlink()
        elif left.is_file():
            assert left.read_bytes() == right.read_bytes(), name
            assert bool(left.stat().st_mode & 0o100) == bool(right.stat().st_mode & 0o100), name


def test_directory_goes_in_and_comes_out_the_same(
    files: Files, cluster: LocalCluster, here: Path
) -> None:
    source = here / "source"
    tree(source)
    sent = files.upload(source, "target")
    same(source, cluster.work / "target")
    got = files.download("target", here / "back")
    same(source, here / "back")
    assert sent.files == got.files == 4
    assert sent.notes == got.notes == ()


def test_copies_go_into_directories_that_exist(
    files: Files, cluster: LocalCluster, here: Path
) -> None:
    (here / "one").write_text("1")
    (cluster.work / "there").mkdir()
    files.upload(here / "one", "there")
    assert (cluster.work / "there/one").read_text() == "1"
    (here / "local").mkdir()
    files.download("there/one", here / "local")
    assert (here / "local/one").read_text() == "1"
    files.download("there", here / "local")
    assert (here / "local/there/one").read_text() == "1"
    files.upload(here / "local", "there")
    assert (cluster.work / "there/local/there/one").read_text() == "1"
    files.upload(here / "local", "there/.")
    assert (cluster.work / "there/there/one").read_text() == "1"


def test_file_keeps_whether_it_may_be_run(files: Files, cluster: LocalCluster, here: Path) -> None:
    (here / "run").write_text("#!/bin/sh\n")
    (here / "run").chmod(0o755)
    files.upload(here / "run", "run")
    assert (cluster.work / "run").stat().st_mode & 0o111
    files.download("run", here / "back")
    assert (here / "back").stat().st_mode & 0o100


def test_setuid_does_not_come_out(files: Files, cluster: LocalCluster, here: Path) -> None:
    (cluster.work / "dir").mkdir()
    for path in (cluster.work / "file", cluster.work / "dir/file"):
        path.write_text("x")
        path.chmod(0o6777)
    files.download("file", here / "file")
    files.download("dir", here / "dir")
    for path in (here / "file", here / "dir/file"):
        assert not path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH)


def test_what_is_no_file_is_left_out_and_told(
    files: Files, cluster: LocalCluster, here: Path
) -> None:
    (cluster.work / "dir").mkdir()
    os.mkfifo(cluster.work / "dir/fifo")
    (cluster.work / "dir/bad").symlink_to("/etc/passwd")
    (cluster.work / "dir/good").write_text("x")
    got = files.download("dir", here / "dir")
    assert [path.name for path in (here / "dir").iterdir()] == ["good"]
    assert sorted(note.removeprefix("./") for note in got.notes) == [
        "bad: left out, a link that leads elsewhere",
        "fifo: left out, neither file, directory nor link",
    ]
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(here / "dir/socket"))
    assert files.upload(here / "dir", "back").notes == (
        "socket: left out, neither file, directory nor link",
    )


def test_two_names_of_one_file_come_out_as_two_files(
    files: Files, cluster: LocalCluster, here: Path
) -> None:
    (cluster.work / "dir").mkdir()
    (cluster.work / "dir/one").write_text("same")
    (cluster.work / "dir/two").hardlink_to(cluster.work / "dir/one")
    files.download("dir", here / "dir")
    (here / "dir/one").write_text("changed")
    assert (here / "dir/two").read_text() == "same"


def test_more_than_the_limit_is_refused_and_leaves_no_half_file(
    files: Files, cluster: LocalCluster, here: Path
) -> None:
    (cluster.work / "dir").mkdir()
    (cluster.work / "dir/big").write_bytes(bytes(100_000))
    for path in ("dir", "dir/big"):
        with pytest.raises(FileError, match="more comes out of the Sandbox than the limit permits"):
            files.download(path, here / "out", Limits(size=50_000))
    assert [p for p in here.rglob("*") if p.is_file()] == []


def test_interrupted_copies_leave_no_half_file(cluster: LocalCluster, here: Path) -> None:
    (cluster.work / "big").write_bytes(bytes(5_000_000))
    (here / "big").write_bytes(bytes(5_000_000))
    with Wakeup() as wakeup:
        place = cluster.place(wakeup)
        with pytest.raises(SandboxError):
            copying.copy_out(place, "big", here / "out", Limits(), lambda _: wakeup.stop())
    with Wakeup() as wakeup:
        place = cluster.place(wakeup)
        with pytest.raises(SandboxError):
            copying.copy_in(place, here / "big", "in", lambda _: wakeup.stop())
    assert [path.name for path in here.iterdir()] == ["big"]
    assert [path.name for path in cluster.work.iterdir()] == ["big"]


def test_upload_that_is_cut_off_leaves_the_old_file(
    files: Files, cluster: LocalCluster, here: Path
) -> None:
    """The Sandbox cannot tell the end of a file from the end of a connection; its size tells."""
    (cluster.work / "file").write_text("old")
    with pytest.raises(FileError, match="did not arrive whole"):
        copying.write(cluster.place(), copying.Target("file"), iter([b"half"]), 8)
    assert files.read("file") == "old"
    assert [path.name for path in cluster.work.iterdir()] == ["file"]
    assert here.exists()


def test_file_that_shrinks_while_it_is_sent_is_an_error() -> None:
    """Files of sysfs claim a page, and hold less."""
    with pytest.raises(FileError, match="became shorter"):
        list(pack._file(Path("/sys/kernel/uevent_seqnum"), "name"))


def test_missing_local_file_is_told(files: Files, here: Path) -> None:
    with pytest.raises(FileError, match="no such file or directory on this machine"):
        files.upload(here / "none", "x")


def test_file_does_not_replace_a_directory(files: Files, cluster: LocalCluster, here: Path) -> None:
    (cluster.work / "file").write_text("x")
    (here / "there/file").mkdir(parents=True)
    with pytest.raises(InvalidArgument, match="is a directory"):
        files.download("file", here / "there")
    (cluster.work / "dir").mkdir()
    with pytest.raises(FileError, match="dir is a directory"):
        files.write("dir", "x")


def test_lying_program_does_not_confuse_the_list(
    files: Files, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    liar = cluster.work / "bin"
    liar.mkdir()
    (liar / "stat").write_text("#!/bin/sh\necho nonsense\n")
    (liar / "stat").chmod(0o755)
    monkeypatch.setenv("PATH", f"{liar}:{os.environ['PATH']}")
    with pytest.raises(FileError, match="answer does not read"):
        files.list()
