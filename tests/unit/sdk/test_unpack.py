"""Archives of hostile programs: nothing lands outside, and nothing decides how much is kept."""

import contextlib
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.sdk.errors import FileError
from ringfence.sdk.landing import Landing
from ringfence.sdk.unpack import Limits, Unpacker, leads_outside


class Box:
    """A destination, a secret beside it, and what lands."""

    def __init__(self, directory: Path) -> None:
        self.top = directory
        self.secret = directory / "secret"
        self.secret.write_text("secret")
        self.target = directory / "target"

    def unpack(self, archive: bytes, limits: Limits | None = None, piece: int = 700) -> list[str]:
        with Landing(self.target) as landing:
            unpacker = Unpacker(landing, limits or Limits())
            for start in range(0, len(archive), piece):
                unpacker.feed(archive[start : start + piece])
            landing.link_all()
        assert unpacker.complete
        return landing.notes

    def untouched(self) -> bool:
        """Whether all is in the destination."""
        return self.secret.read_text() == "secret" and {p.name for p in self.top.iterdir()} == {
            "secret",
            "target",
        }


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def archive(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


LINK, HARD = {"type": tarfile.SYMTYPE}, {"type": tarfile.LNKTYPE}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_format_is_read(box: Box, form: int) -> None:
    name = "/".join(["d" * 40] * (2 if form == tarfile.USTAR_FORMAT else 8)) + "/file"
    assert box.unpack(archive(member(name, b"x" * 1025), member("b"), form=form)) == []
    assert (box.target / name).read_bytes() == b"x" * 1025
    assert (box.target / "b").read_bytes() == b""


@pytest.mark.parametrize(
    "name", ["../secret", "/secret", "a/../../secret", "..", "a/..", "./../secret", "a\x1b[31m"]
)
@pytest.mark.parametrize("fields", [{}, {"type": tarfile.DIRTYPE}, LINK | {"linkname": "x"}])
def test_name_that_leads_out_is_left_out(box: Box, name: str, fields: dict[str, object]) -> None:
    data = b"" if fields else b"evil"
    notes = box.unpack(archive(member(name, data, **fields), member("good", b"x")))
    assert len(notes) == 1
    assert "left out" in notes[0]
    assert "\x1b" not in notes[0]
    assert box.untouched()
    assert [path.name for path in box.target.iterdir()] == ["good"]


@pytest.mark.parametrize(
    "target",
    ["/etc/passwd", "../secret", "a/../../secret", "..", "d/../..", "", "../target/../secret"],
)
def test_link_that_leads_out_is_not_made(box: Box, target: str) -> None:
    box.unpack(archive(member("evil", **LINK, linkname=target)))
    assert not (box.target / "evil").is_symlink()


def test_chain_of_harmless_links_does_not_lead_out(box: Box) -> None:
    """Each is harmless by its letters; `up/..` starts from wherever `up` leads."""
    box.unpack(
        archive(
            member("a/b/c/d", b"x"),
            member("a/b/c/up", **LINK, linkname="../../.."),
            member("out", **LINK, linkname="a/b/c/up/../secret"),
        )
    )
    assert (box.target / "a/b/c/up").is_symlink()
    assert not (box.target / "out").is_symlink()


def test_nothing_is_written_through_a_link_of_the_archive(box: Box) -> None:
    with contextlib.suppress(FileError):
        box.unpack(
            archive(
                member("dir", **LINK, linkname=".."),
                member("dir/secret", b"evil"),
                member("file", **LINK, linkname="../secret"),
                member("file", b"evil"),
            )
        )
    assert box.untouched()


@pytest.mark.parametrize("name", ["link", "link/secret"])
def test_nothing_is_written_through_a_link_that_is_there_already(box: Box, name: str) -> None:
    box.target.mkdir()
    (box.target / "link").symlink_to("../secret" if name == "link" else "..")
    with contextlib.suppress(FileError):
        box.unpack(archive(member(name, b"evil")))
    assert box.untouched()


def test_link_through_a_directory_that_is_a_link_is_not_made(box: Box) -> None:
    box.target.mkdir()
    (box.target / "dir").symlink_to("..")
    notes = box.unpack(archive(member("dir/evil", **LINK, linkname="x")))
    assert box.untouched()
    assert len(notes) == 1


@pytest.mark.parametrize("target", ["../secret", "/etc/passwd", "none", "dir"])
def test_hard_link_to_what_was_not_copied_is_left_out(box: Box, target: str) -> None:
    entries = [member("dir", type=tarfile.DIRTYPE), member("hard", **HARD, linkname=target)]
    box.unpack(archive(*entries))
    assert [path.name for path in box.target.iterdir()] == ["dir"]


def test_hard_link_to_a_file_that_somebody_replaced_reads_nothing_else(box: Box) -> None:
    with Landing(box.target) as landing:
        unpacker = Unpacker(landing, Limits())
        unpacker.feed(archive(member("file", b"x"))[:1024])
        unpacker.feed(b"")
        (box.target / "file").unlink()
        (box.target / "file").symlink_to("../secret")
        with pytest.raises(OSError, match="symbolic link"):
            landing.copy(("copy",), ("file",))
    assert not (box.target / "copy").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE, b"V", b"?"]
)
def test_devices_and_the_like_are_left_out(box: Box, kind: bytes) -> None:
    assert len(box.unpack(archive(member("odd", type=kind)))) == 1
    assert list(box.target.iterdir()) == []


@pytest.mark.parametrize("kind", [b"L", b"K", tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_huge_header_is_refused_before_it_is_read(box: Box, kind: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 1 << 33
    with pytest.raises(FileError, match="a header of 8589934592 bytes"):
        box.unpack(info.tobuf(tarfile.GNU_FORMAT) + bytes(512))


@pytest.mark.parametrize(
    "record",
    [
        b"99 path=x\n",
        b"0 path=x\n",
        b"-5 path=x\n",
        b"x path=x\n",
        b"9 pathxx\n",
        b"999999999999999999999 path=x\n",
        b"9 path=x",
        b"14 size=-100000\n",
    ],
)
def test_header_that_does_not_read_is_refused(box: Box, record: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    body = info.tobuf() + record.ljust(512, b"\0") + archive(member("a", b"x"))
    try:
        box.unpack(body)
    except FileError:
        assert box.untouched()
    assert {p.name for p in box.target.iterdir()} <= {"a", "x"}


def test_sparse_map_in_a_header_is_left_out(box: Box) -> None:
    info, data = member("sparse", b"x", pax_headers={"GNU.sparse.map": "0,1"})
    assert box.unpack(archive((info, data))) == ["sparse: left out, a sparse file"]


def test_size_of_a_header_counts_for_the_limit(box: Box) -> None:
    info, data = member("big", b"x", pax_headers={"size": str(1 << 40)})
    with pytest.raises(FileError, match="limit"):
        box.unpack(archive((info, data)), Limits(size=1000))


def test_negative_size_is_refused(box: Box) -> None:
    info = tarfile.TarInfo("x")
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" * 12  # -1, base 256
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(FileError, match="negative size"):
        box.unpack(bytes(block))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, b"V", tarfile.REGTYPE])
def test_body_of_anything_counts_for_the_limit(box: Box, kind: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 5000
    with pytest.raises(FileError, match="limit"):
        box.unpack(info.tobuf() + bytes(5120), Limits(size=4999))


def test_copies_of_hard_links_count_for_the_limit(box: Box) -> None:
    links = (member(f"l{n}", **HARD, linkname="file") for n in range(10))
    with pytest.raises(FileError, match="limit"):
        box.unpack(archive(member("file", bytes(1000)), *links), Limits(size=5000))


def test_too_many_entries_are_refused(box: Box) -> None:
    entries = [member(f"f{n}") for n in range(11)]
    with pytest.raises(FileError, match="too many entries"):
        box.unpack(archive(*entries), Limits(entries=10))


def test_no_archive_is_refused(box: Box) -> None:
    with pytest.raises(FileError, match="no tar archive"):
        box.unpack(b"x" * 5000)


def test_endless_trailer_is_refused(box: Box) -> None:
    with pytest.raises(FileError, match="does not end"):
        box.unpack(archive() + bytes(3_000_000), piece=100_000)


def test_unfinished_file_leaves_nothing(box: Box) -> None:
    with Landing(box.target) as landing:
        Unpacker(landing, Limits()).feed(archive(member("file", b"x" * 5000))[:2000])
    assert list(box.target.iterdir()) == []


def test_many_notes_are_counted_and_not_kept(box: Box) -> None:
    with Landing(box.target) as landing:
        Unpacker(landing, Limits()).feed(archive(*(member(f"../{n}") for n in range(500))))
        assert (landing.skipped, len(landing.notes)) == (500, 100)


def test_long_header_without_an_entry_is_harmless(box: Box) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = b"L", 10
    assert box.unpack(info.tobuf() + bytes(512) + bytes(1024)) == []


_STEPS = st.lists(st.sampled_from(["..", ".", "a", "b", "up", ""]), max_size=6).map("/".join)


@settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(_STEPS, st.one_of(st.none(), _STEPS)), max_size=8))
def test_no_archive_leads_out(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, str | None]]
) -> None:
    """Whatever links and files there are: no link in the destination resolves to outside of it."""
    box = Box(tmp_path_factory.mktemp("box"))
    members = [
        member(name or ".", b"evil") if to is None else member(name or ".", **LINK, linkname=to)
        for name, to in entries
    ]
    with contextlib.suppress(FileError):
        box.unpack(archive(*members))
    top = os.path.realpath(box.target)
    for path in box.target.rglob("*"):
        with contextlib.suppress(OSError):  # links may lead to each other, or nowhere
            assert os.path.commonpath([top, os.path.realpath(path, strict=True)]) == top, path
    assert box.untouched()


def test_leading_dots_count_from_the_links_own_directory() -> None:
    assert not leads_outside(("a", "b", "l"), "../../x")
    assert leads_outside(("a", "b", "l"), "../../../x")
