"""A container is told by what the kubelet mounted into it, not by what runs in it."""

from node_samples import MOUNTINFO, OTHER_UID, POD_UID, status
from ringfence.node.containers import container_name, is_init, is_starting, kubelets_file
from ringfence.node.procfs import parse_mountinfo


def test_container_is_named_by_the_file_of_the_kubelet() -> None:
    assert container_name(parse_mountinfo(MOUNTINFO), POD_UID) == "agent"


def test_file_of_another_pod_names_nothing() -> None:
    assert container_name(parse_mountinfo(MOUNTINFO), OTHER_UID) is None


def test_pause_container_has_no_such_file() -> None:
    lines = [line for line in MOUNTINFO.splitlines() if "/containers/" not in line]
    assert container_name(parse_mountinfo("\n".join(lines)), POD_UID) is None


def test_mount_point_that_looks_like_the_file_names_nothing() -> None:
    """Only the source of a mount is the kubelet's word; an image chooses its own paths."""
    line = f"9 1 8:1 /x /pods/{POD_UID}/containers/egress-proxy/1 rw - ext4 /dev/sda rw"
    assert container_name(parse_mountinfo(line), POD_UID) is None


def test_first_process_of_a_namespace_is_told_from_its_children() -> None:
    assert is_init(status(ns_pid="1105\t1"))
    assert not is_init(status(ns_pid="1106\t7"))


def test_first_process_of_the_node_is_no_container() -> None:
    assert not is_init(status(ns_pid="1"))


def test_runtime_that_is_not_yet_the_program_is_recognised() -> None:
    assert is_starting(status(name="runc:[2:INIT]"))
    assert not is_starting(status(name="tini"))


def test_file_of_the_kubelet_is_found_wherever_the_spec_puts_it() -> None:
    moved = MOUNTINFO.replace(" /dev/termination-log ", " /root/.termination-log ")
    for text in (MOUNTINFO, moved):
        found = kubelets_file(parse_mountinfo(text))
        assert found is not None
        assert found.point.endswith("termination-log")
    assert kubelets_file(()) is None
