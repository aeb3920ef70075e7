"""Looks at Pods on a node without a kernel: limits first, then what is what, then the facts."""

from pathlib import Path

import pytest

from fake_node import OWN_POD, FakeCgroups, FakeNetworks, FakeProcesses
from node_samples import (
    HARD_MOUNTINFO,
    MOUNTINFO,
    NODE,
    PAUSE_ID,
    POD_UID,
    PROXY_ID,
    pod,
    status,
)
from ringfence import names
from ringfence.node.cgroup_tree import CgroupTree
from ringfence.node.inspector import Inspector
from ringfence.node.posture import Finding
from ringfence.node.warden import Look, Warden

AGENT, PROXY, PAUSE = 1105, 1200, 1000


class Case:
    """One Sandbox Pod whose agent runs, and a warden that has not looked yet."""

    def __init__(self, mount: Path) -> None:
        self.cgroups = FakeCgroups(mount)
        self.processes = FakeProcesses()
        self.pod = self.cgroups.pod()
        self.agent = self.cgroups.container(self.pod, AGENT)
        tree = CgroupTree(str(mount), OWN_POD)
        self.networks = FakeNetworks()
        inspector = Inspector(tree, self.processes)  # type: ignore[arg-type]
        self.warden = Warden(tree, inspector, self.networks.fences())
        self.warden.scan([POD_UID])

    def look(self, now: float = 100.0, **limits: int) -> Look:
        wanted = {"pids": 256, "diskBytes": 5 * 2**30} | limits
        return self.warden.look(pod(wanted), NODE, now)

    def settled(self, now: float = 100.0) -> dict[str, Finding]:
        """What is said when whatever is wrong has been so for some time."""
        self.look(now)
        found = self.look(now + 5).findings
        assert found is not None
        return {finding.layer: finding for finding in found}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_limits_are_in_force_after_one_look(case: Case) -> None:
    proxy = case.cgroups.container(case.pod, PROXY, id_=PROXY_ID)
    case.processes.statuses[PROXY] = status(name="envoy")
    case.processes.mountinfo[PROXY] = MOUNTINFO.replace("/agent/", "/egress-proxy/")
    look = case.look()
    assert case.cgroups.pids_max(case.pod) == "400"
    assert case.cgroups.pids_max(case.agent) == "256"
    assert case.cgroups.pids_max(proxy) == "128"
    assert case.processes.limits[AGENT] == 256
    assert look.again is None
    assert look.findings is not None
    assert look.findings[-1].state == "True"


def test_pod_is_limited_before_its_containers(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard in the proxy waits for its own limit and relies on the Pod's."""
    order: list[str] = []
    write = CgroupTree.lower_pids

    def noted(tree: CgroupTree, path: str, wanted: int) -> bool:
        order.append(path)
        return write(tree, path, wanted)

    monkeypatch.setattr(CgroupTree, "lower_pids", noted)
    case.look()
    assert order == [f"/{case.pod}", f"/{case.agent}"]


def test_container_that_has_no_process_yet_is_limited_and_looked_at_again(case: Case) -> None:
    case.cgroups.processes(case.agent)
    look = case.look()
    assert case.cgroups.pids_max(case.agent) == "256"
    assert look.findings is None
    assert look.again is not None
    assert look.again <= 0.02


def test_runtime_in_the_container_is_not_judged(case: Case) -> None:
    case.processes.statuses[AGENT] = status(name="runc:[2:INIT]", caps=0xFF, seccomp=0)
    assert case.look().findings is None
    case.processes.statuses[AGENT] = status()
    found = case.look(100.1).findings
    assert found is not None
    assert found[-1].state == "True"


def test_program_that_calls_itself_runtime_is_judged_in_the_end(case: Case) -> None:
    case.processes.statuses[AGENT] = status(name="runc:[2:INIT]", caps=1)
    assert case.look().findings is None
    assert case.look(131.0).findings is None  # from now on what is wrong has to last
    found = case.look(133.0).findings
    assert found is not None
    assert found[-1].state == "False"


def test_bad_news_must_last_before_it_is_told(case: Case) -> None:
    case.processes.statuses[AGENT] = status(nnp=0)
    first = case.look(100.0)
    assert (first.findings, first.again is None) == (None, False)
    found = case.look(101.5).findings
    assert found is not None
    assert found[-1].state == "False"


def test_privileged_process_that_stays_in_the_container_is_told(case: Case) -> None:
    case.look()
    case.cgroups.processes(case.agent, AGENT, 2000)
    case.processes.statuses[2000] = status(ns_pid="2000\t7", caps=1)
    assert case.settled(200.0)[names.PROCESS_CONDITION].state == "False"


def test_privileged_process_that_passes_by_is_not_told(case: Case) -> None:
    """`kubectl exec` enters with the runtime's rights and drops them."""
    case.cgroups.processes(case.agent, AGENT, 2000)
    case.processes.statuses[2000] = status(ns_pid="2000\t7", caps=1, seccomp=0)
    assert case.look(100.0).again == 1.0
    case.processes.statuses[2000] = status(ns_pid="2000\t7")
    look = case.look(101.0)
    assert look.findings is not None
    assert look.findings[-1].state == "True"
    assert look.again is None
    assert case.processes.limits[2000] == 256


def test_pause_container_is_no_agent(case: Case) -> None:
    case.cgroups.container(case.pod, PAUSE, id_=PAUSE_ID)
    case.processes.statuses[PAUSE] = status(name="pause")
    assert case.look().again is None


def test_restarted_agent_is_looked_at_anew(case: Case) -> None:
    case.look()
    case.cgroups.processes(case.agent)
    assert case.look(200.0).findings is None
    case.cgroups.processes(case.agent, 3000)
    case.processes.statuses = {3000: status(ns_pid="3000\t1", nnp=0)}
    case.processes.mountinfo[3000] = MOUNTINFO
    assert case.settled(300.0)[names.PROCESS_CONDITION].state == "False"


def test_limit_that_was_raised_is_lowered_again(case: Case) -> None:
    case.look()
    case.cgroups.set_pids_max(case.agent, "max\n")
    case.look()
    assert case.cgroups.pids_max(case.agent).startswith("256")


def test_pod_without_readable_limits_is_limited_all_the_same(case: Case) -> None:
    case.warden.look(pod("nonsense"), NODE, 100.0)
    assert case.cgroups.pids_max(case.agent) == "256"


def test_mounts_are_read_again_until_the_runtime_is_through_with_them(case: Case) -> None:
    """The runtime mounts below the image's root first and then moves there."""
    early = MOUNTINFO.replace(" /work ", " /run/rootfs/work ").replace(" / / ro,", " / / rw,")
    case.processes.mountinfo[AGENT] = early
    assert case.look().findings is None
    case.processes.mountinfo[AGENT] = MOUNTINFO
    assert case.look(100.1).findings is not None


def test_io_limit_is_set_on_the_disk_of_work(case: Case) -> None:
    wanted = {"pids": 256, "diskBytes": 2**30, "io": {"writeBytesPerSecond": 1000}}
    case.warden.look(pod(wanted), NODE, 100.0)
    written = case.cgroups.path("blkio", case.agent) / "blkio.throttle.write_bps_device"
    assert written.read_text() == "254:0 1000"


def test_disk_without_a_device_is_left_alone(case: Case) -> None:
    case.processes.mountinfo[AGENT] = HARD_MOUNTINFO
    assert case.look().findings is not None


def test_forgotten_pod_is_not_touched(case: Case) -> None:
    case.warden.scan([])
    assert case.look() == Look()
    assert case.cgroups.pids_max(case.pod) == "max"


def test_new_cgroups_of_sandboxes_are_told_once(case: Case) -> None:
    assert case.warden.scan([POD_UID]) == set()
    other = "0f0e0d0c-1111-2222-3333-444455556666"
    case.cgroups.pod(other)
    assert case.warden.scan([POD_UID, other]) == {other}


def test_places_of_a_pod_are_its_directory_and_every_limit(case: Case) -> None:
    case.look()
    mount = case.cgroups.mount / "pids"
    assert case.warden.places(POD_UID) == [
        (str(mount / case.pod), True),
        (str(mount / case.pod / "pids.max"), False),
        (str(mount / case.agent / "pids.max"), False),
    ]
    assert case.warden.places("unknown") == []


def test_age_of_an_agent_is_told_once(case: Case) -> None:
    case.look()
    assert case.warden.announced(POD_UID) == 0.2
    assert case.warden.announced(POD_UID) is None
