"""Command lines and files of the cluster's components hold to the traps that were measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import cgroups, config, control_plane, node_config

PATHS = config.Paths(state=Path("/state"), cache=Path("/cache"))


def flags(name: str) -> set[str]:
    components = (*control_plane.components(PATHS), *node_config.components())
    return set(next(one for one in components if one.name == name).argv)


def kubelet() -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load(node_config.files()["kubelet.yaml"])
    return settings


def test_nobody_is_served_without_an_identity() -> None:
    assert {"--anonymous-auth=false", "--authorization-mode=Node,RBAC"} <= flags("apiserver")
    assert kubelet()["authentication"]["anonymous"] == {"enabled": False}
    assert kubelet()["authorization"] == {"mode": "Webhook"}


def test_writes_are_audited_and_nodes_restricted() -> None:
    assert "--audit-log-path=/state/audit.log" in flags("apiserver")
    assert "--enable-admission-plugins=NodeRestriction" in flags("apiserver")
    policy = config.SOURCES / "data" / "audit-policy.yaml"
    assert yaml.safe_load(policy.read_text())["rules"][-1] == {"level": "Metadata"}


def test_etcd_is_reachable_from_its_own_namespace_only() -> None:
    urls = [flag for flag in flags("etcd") if "-urls=" in flag]
    assert urls
    assert all("=http://127.0.0.1:" in url for url in urls)


@pytest.mark.parametrize("limit", ["max-per-core", "min", "tcp-timeout-established"])
def test_kube_proxy_leaves_conntrack_of_the_machine_alone(limit: str) -> None:
    assert f"--conntrack-{limit}=0" in flags("kube-proxy")


def test_kubelet_stays_below_the_clusters_own_cgroup() -> None:
    assert kubelet()["cgroupRoot"] == f"/{config.CGROUP_ROOT}"
    assert kubelet()["failCgroupV1"] is False


def test_cni_hands_out_the_range_the_node_object_names() -> None:
    plugins = json.loads(node_config.files()["10-ringfence.conflist"])["plugins"]
    bootstrap = yaml.safe_load_all((config.SOURCES / "data" / "bootstrap.yaml").read_text())
    node = next(one for one in bootstrap if one["kind"] == "Node")
    assert node["spec"]["podCIDR"] == config.NODE_POD_CIDR
    assert plugins[0]["ipam"]["ranges"] == [[{"subnet": config.NODE_POD_CIDR}]]


def test_dns_service_has_the_address_the_kubelet_tells_pods() -> None:
    manifests = yaml.safe_load_all((config.SOURCES / "data" / "coredns.yaml").read_text())
    service = next(one for one in manifests if one["kind"] == "Service")
    assert kubelet()["clusterDNS"] == [service["spec"]["clusterIP"]]


def _hierarchies(mount: Path, *names: str) -> None:
    for name in names:
        (mount / name).mkdir(parents=True, exist_ok=True)
        (mount / name / "cgroup.procs").touch()


def test_cgroup_is_found_in_every_v1_hierarchy(tmp_path: Path) -> None:
    _hierarchies(tmp_path, "memory", "pids")
    (tmp_path / "memory-too").symlink_to("memory")
    assert [one.name for one in cgroups.hierarchies(tmp_path)] == ["memory", "pids"]


def test_cgroup_v2_is_one_hierarchy(tmp_path: Path) -> None:
    _hierarchies(tmp_path, ".", "system")
    assert cgroups.hierarchies(tmp_path) == [tmp_path]


def test_only_our_own_group_is_removed(tmp_path: Path) -> None:
    _hierarchies(tmp_path, "memory")
    (tmp_path / "memory" / "other").mkdir()
    (tmp_path / "memory" / config.CGROUP_ROOT / "kubepods" / "pod1").mkdir(parents=True)
    cgroups.remove(tmp_path)
    assert sorted(one.name for one in (tmp_path / "memory").iterdir()) == ["cgroup.procs", "other"]
