"""Names of cgroups: every driver's spelling is understood, nobody else's passes for one."""

import pytest

from node_samples import AGENT_ID, POD_UID
from ringfence.node import cgroups


@pytest.mark.parametrize(
    "name",
    [
        f"pod{POD_UID}",
        f"kubepods-burstable-pod{POD_UID.replace('-', '_')}.slice",
        f"kubepods-besteffort-pod{POD_UID.replace('-', '_')}.slice",
        f"kubepods-pod{POD_UID.replace('-', '_')}.slice",
    ],
)
def test_pod_is_known_under_both_drivers(name: str) -> None:
    assert cgroups.pod_uid(name) == POD_UID


@pytest.mark.parametrize(
    "name",
    [
        "burstable",
        "kubepods",
        f"x-pod{POD_UID}",
        f"pod{POD_UID}x",
        "pod1",
        "kubepods-burstable.slice",
    ],
)
def test_other_names_are_no_pods(name: str) -> None:
    assert cgroups.pod_uid(name) is None


@pytest.mark.parametrize(
    "name",
    [AGENT_ID, f"cri-containerd-{AGENT_ID}.scope", f"crio-{AGENT_ID}.scope", f"crio-{AGENT_ID}"],
)
def test_container_is_known_under_both_drivers(name: str) -> None:
    assert cgroups.container_id(name) == AGENT_ID


@pytest.mark.parametrize("name", ["init", f"crio-conmon-{AGENT_ID}.scope", AGENT_ID[:-1], ""])
def test_other_names_are_no_containers(name: str) -> None:
    assert cgroups.container_id(name) is None


@pytest.mark.parametrize(
    ("text", "limit"),
    [("max\n", None), ("256\n", 256), ("-1\n", None), ("9223372036854771712\n", None), ("0\n", 0)],
)
def test_limits_of_both_versions_are_read(text: str, limit: int | None) -> None:
    assert cgroups.parse_limit(text) == limit


@pytest.mark.parametrize(
    ("texts", "cores"),
    [
        (["100000 100000\n"], 1.0),
        (["max 100000\n"], None),
        (["50000\n", "100000\n"], 0.5),
        (["-1\n", "100000\n"], None),
    ],
)
def test_cpu_is_read_in_cores(texts: list[str], cores: float | None) -> None:
    assert cgroups.parse_cpu(texts) == cores
