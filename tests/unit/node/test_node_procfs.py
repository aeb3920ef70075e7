"""Parsers of /proc, on texts that a kernel wrote."""

import pytest

from node_samples import HOST_UID, LIMITS_TEXT, MOUNTINFO, status, status_text
from ringfence.node import procfs
from ringfence.node.procfs import Confinement, IdRange


def test_status_of_an_agent_is_read() -> None:
    found = status()
    assert found.command == "tini"
    assert found.uids == found.gids == (HOST_UID,) * 4
    assert found.pids == (1105, 1)
    assert not any(found.capabilities.values())
    assert found.no_new_privileges
    assert (found.seccomp_mode, found.seccomp_filters) == (2, 1)


def test_every_set_of_capabilities_is_read() -> None:
    held = status(caps=0x1FF).capabilities
    assert {name for name, value in held.items() if value} == {"CapPrm", "CapEff", "CapBnd"}
    assert len(held) == 5


def test_status_that_lacks_a_line_is_an_error() -> None:
    with pytest.raises(KeyError, match="NoNewPrivs"):
        procfs.parse_status(status_text().replace("NoNewPrivs:\t1\n", ""))


def test_a_name_with_a_line_break_adds_no_line() -> None:
    """The kernel writes it escaped; the parser must take it as it stands."""
    assert status(name=r"x\nSeccomp:\t2").command == r"x\nSeccomp:\t2"


def test_uid_is_translated_into_the_user_namespace() -> None:
    ranges = procfs.parse_uid_map("         0  887029760      65536\n")
    assert ranges == (IdRange(0, 887029760, 65536),)
    assert procfs.inside_id(ranges, HOST_UID) == 30148
    assert procfs.inside_id(ranges, 0) is None


def test_mounts_are_read_in_their_order() -> None:
    mounts = procfs.parse_mountinfo(MOUNTINFO)
    work = procfs.mount_at(mounts, "/work")
    assert work is not None
    assert (work.device, work.file_system) == ("254:0", "ext4")
    assert "rw" in work.options
    assert procfs.mount_at(mounts, "/nowhere") is None


def test_of_two_mounts_on_one_point_the_upper_one_is_seen() -> None:
    upper = "9 1 0:99 / / rw - tmpfs tmpfs rw\n"
    root = procfs.mount_at(procfs.parse_mountinfo(MOUNTINFO + upper), "/")
    assert root is not None
    assert root.device == "0:99"


def test_a_blank_in_a_path_divides_no_fields() -> None:
    (mount,) = procfs.parse_mountinfo(r"9 1 8:1 /a\040-\040b /c\134d rw - ext4 /dev/sda rw")
    assert (mount.root, mount.point) == ("/a - b", r"/c\d")


@pytest.mark.parametrize(("word", "limit"), [("unlimited", None), (256, 256)])
def test_hard_process_limit_is_read(word: object, limit: int | None) -> None:
    assert procfs.parse_process_limit(LIMITS_TEXT.format(soft=12, hard=word)) == limit


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sandbox-agent-1 (enforce)\n\0", Confinement("sandbox-agent-1", "enforce")),
        ("sandbox-agent-1 (complain)", Confinement("sandbox-agent-1", "complain")),
        ("unconfined\n", Confinement("unconfined", "")),
        ("", Confinement("", "")),
    ],
)
def test_confinement_is_read_with_its_mode(text: str, found: Confinement) -> None:
    assert procfs.parse_confinement(text) == found


def test_loaded_profiles_are_read_with_their_modes() -> None:
    text = "sandbox-agent-1 (enforce)\n/usr/bin/man (complain)\n"
    loaded = procfs.parse_loaded_profiles(text)
    assert loaded == {"sandbox-agent-1": "enforce", "/usr/bin/man": "complain"}


def test_start_time_is_found_behind_any_command_name() -> None:
    rest = "S 962 1105 1105 0 -1 4194560 1215 0 0 0 0 3 0 0 20 0 1 0 316157 2547712 305"
    assert procfs.parse_start_time(f"1105 (a) R 1 (b) {rest}") == 316157
