"""The kubelet's tree is found wherever it is, and limits in it are only lowered."""

from pathlib import Path

import pytest

from fake_node import OWN_POD, FakeCgroups
from node_samples import AGENT_ID, PAUSE_ID, POD_UID, PROXY_ID
from ringfence.node.cgroup_tree import CgroupTree, NoCgroupsError
from ringfence.node.cgroups import V1, V2, Layout
from ringfence.node.limits import Effective
from ringfence.node.pods import IoLimits


@pytest.fixture(params=[V1, V2], ids=["v1", "v2"])
def cgroups(request: pytest.FixtureRequest, tmp_path: Path) -> FakeCgroups:
    return FakeCgroups(tmp_path, request.param)


def _tree(cgroups: FakeCgroups) -> CgroupTree:
    return CgroupTree(str(cgroups.mount), OWN_POD)


def test_version_and_pods_are_found(cgroups: FakeCgroups) -> None:
    path = cgroups.pod()
    tree = _tree(cgroups)
    assert tree.layout is cgroups.layout
    assert tree.pods() == {
        OWN_POD: f"/{cgroups.root}/burstable/pod{OWN_POD}",
        POD_UID: f"/{path}",
    }


def test_containers_are_found_by_id(cgroups: FakeCgroups) -> None:
    pod = cgroups.pod()
    cgroups.container(pod, 1, id_=AGENT_ID)
    cgroups.container(pod, 2, id_=PAUSE_ID)
    assert set(_tree(cgroups).containers(f"/{pod}")) == {AGENT_ID, PAUSE_ID}


@pytest.mark.parametrize("layout", [V1, V2])
def test_tree_below_a_cgroup_root_is_found(tmp_path: Path, layout: Layout) -> None:
    cgroups = FakeCgroups(tmp_path, layout, root="deep/ringfence-cluster/kubepods")
    assert OWN_POD in _tree(cgroups).pods()


def test_of_two_kubelets_the_own_one_is_chosen(tmp_path: Path) -> None:
    other = FakeCgroups(tmp_path, V1, root="other/kubepods")
    (tmp_path / "pids/other/kubepods/burstable" / f"pod{OWN_POD}").rename(tmp_path / "away")
    other.pod(POD_UID)
    own = FakeCgroups(tmp_path, V1, root="own/kubepods")
    assert set(_tree(own).pods()) == {OWN_POD}


def test_names_of_the_systemd_driver_are_found(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").touch()
    parent = tmp_path / "kubepods.slice" / "kubepods-burstable.slice"
    for uid in (OWN_POD, POD_UID):
        (parent / f"kubepods-burstable-pod{uid.replace('-', '_')}.slice").mkdir(parents=True)
    pod = parent / f"kubepods-burstable-pod{POD_UID.replace('-', '_')}.slice"
    (pod / f"cri-containerd-{AGENT_ID}.scope").mkdir()
    tree = CgroupTree(str(tmp_path), OWN_POD)
    assert set(tree.containers(tree.pods()[POD_UID])) == {AGENT_ID}


def test_node_without_our_own_pod_is_refused(tmp_path: Path) -> None:
    cgroups = FakeCgroups(tmp_path)
    with pytest.raises(NoCgroupsError, match="00000000"):
        CgroupTree(str(cgroups.mount), "00000000-0000-0000-0000-000000000000")


def test_limit_is_lowered_and_never_raised(cgroups: FakeCgroups) -> None:
    pod, tree = cgroups.pod(), _tree(cgroups)
    assert tree.lower_pids(f"/{pod}", 400)
    assert cgroups.pids_max(pod) == "400"
    assert not tree.lower_pids(f"/{pod}", 500)
    assert cgroups.pids_max(pod) == "400"


def test_limit_in_force_is_that_of_the_whole_hierarchy(cgroups: FakeCgroups) -> None:
    pod = cgroups.pod()
    container = cgroups.container(pod, 1)
    cgroups.set_pids_max(container, "256\n")
    tree = _tree(cgroups)
    assert tree.pids_in_force(f"/{container}") == Effective(256, "container cgroup")
    cgroups.set_pids_max(pod, "64\n")
    assert tree.pids_in_force(f"/{container}") == Effective(64, "Pod cgroup")
    parent = cgroups.path(cgroups.layout.pids, cgroups.root)
    (parent / "pids.max").write_text("32\n")
    assert tree.pids_in_force(f"/{container}") == Effective(32, "cgroup /kubepods")


def test_memory_and_cpu_are_read(cgroups: FakeCgroups) -> None:
    container = cgroups.container(cgroups.pod(), 1)
    tree = _tree(cgroups)
    assert tree.memory(f"/{container}") == 2**31
    assert tree.cpu(f"/{container}") == 1.0


def test_processes_of_nested_cgroups_belong_to_the_container(cgroups: FakeCgroups) -> None:
    container = cgroups.container(cgroups.pod(), 7)
    nested = cgroups.path(cgroups.layout.pids, container) / "container"
    nested.mkdir()
    (nested / "cgroup.procs").write_text("8\n9\n")
    assert _tree(cgroups).processes(f"/{container}") == [7, 8, 9]


def test_io_limits_are_written_and_read_back(cgroups: FakeCgroups) -> None:
    container = cgroups.container(cgroups.pod(), 1)
    tree, wanted = _tree(cgroups), IoLimits(write_bytes=1000)
    tree.lower_io(f"/{container}", "254:0", wanted)
    assert tree.io(f"/{container}", "254:0") == wanted


def test_what_has_gone_is_no_error(cgroups: FakeCgroups) -> None:
    tree = _tree(cgroups)
    gone = f"/{cgroups.root}/burstable/pod{POD_UID}/{PROXY_ID}"
    assert tree.containers(gone) == {}
    assert tree.processes(gone) == []
    assert [tree.memory(gone), tree.cpu(gone), tree.io(gone, "254:0")] == [None] * 3
    assert not tree.lower_pids(gone, 1)
    tree.lower_io(gone, "254:0", IoLimits(read_bytes=1))
