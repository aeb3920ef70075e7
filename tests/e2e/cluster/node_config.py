"""Configuration files and command lines of the nodes: containerd, kubelet, CNI, kube-proxy.

Pure: returns texts. The traps behind the odd settings are in docs/testbed.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from cluster import config
from cluster.control_plane import Component

if TYPE_CHECKING:
    from collections.abc import Mapping

_ETC = "/etc/ringfence"
_BIN = "/opt/ringfence/bin"
CREDENTIALS = (
    "ca.crt",
    "kubelet.crt",
    "kubelet.key",
    "kubelet.kubeconfig",
    "kube-proxy.kubeconfig",
    "kube-router.kubeconfig",
)
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

_CONTAINERD = f"""\
version = 3
oom_score = 0

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{config.PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
  # root lacks CAP_SYS_RESOURCE on the machines this is made for
  restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
    SystemdCgroup = false

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "/etc/cni/net.d"
"""


@dataclass(frozen=True)
class NodeSettings:
    """In what the nodes differ."""

    name: str
    address: str
    pod_cidr: str
    cgroup_root: str
    statistics_interval: str = "10s"
    """Of each container's figures, which no test reads."""


NODE_1 = NodeSettings(
    config.NODE_NAME, config.NODE_ADDRESS, config.NODE_POD_CIDR, f"/{config.CGROUP_ROOT}"
)
NODE_2 = NodeSettings(config.NODE_2_NAME, config.NODE_2_ADDRESS, config.NODE_2_POD_CIDR, "/", "60s")


def files(node: NodeSettings = NODE_1) -> Mapping[str, str]:
    """Every configuration file, by its name below /etc/ringfence in the node."""
    return {
        "containerd.toml": _CONTAINERD,
        "kubelet.yaml": yaml.safe_dump(_kubelet(node)),
        "10-ringfence.conflist": json.dumps(_cni(node), indent=2),
    }


def components(node: NodeSettings = NODE_1) -> tuple[Component, ...]:
    """The processes of the node in their order of start."""
    return (_containerd(), _kubelet_process(node), _kube_proxy(node), _kube_router(node))


def _kubelet(node: NodeSettings) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address,
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": f"{_ETC}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{_ETC}/kubelet.crt",
        "tlsPrivateKeyFile": f"{_ETC}/kubelet.key",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": node.cgroup_root,
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDNS": [config.DNS_SERVICE_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": "/etc/resolv.conf",
        "maxPods": 200,
        "serializeImagePulls": False,
        "imageGCHighThresholdPercent": 100,  # a loaded image has no registry to come back from
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
    }


def _cni(node: NodeSettings) -> dict[str, Any]:
    ranges = [[{"subnet": node.pod_cidr}]]
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "isDefaultGateway": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": ranges, "dataDir": "/run/cni-ipam"},
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "ringfence", "plugins": [bridge, portmap]}


def _containerd() -> Component:
    return _on_node("containerd", "/usr/bin/containerd", f"--config={_ETC}/containerd.toml")


def _kubelet_process(node: NodeSettings) -> Component:
    return _on_node(
        "kubelet",
        f"{_BIN}/kube",
        "kubelet",
        f"--config={_ETC}/kubelet.yaml",
        f"--kubeconfig={_ETC}/kubelet.kubeconfig",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
        f"--housekeeping-interval={node.statistics_interval}",
    )


def _kube_proxy(node: NodeSettings) -> Component:
    return _on_node(
        "kube-proxy",
        f"{_BIN}/kube",
        "kube-proxy",
        f"--kubeconfig={_ETC}/kube-proxy.kubeconfig",
        f"--hostname-override={node.name}",
        f"--cluster-cidr={config.POD_CIDR}",
        "--proxy-mode=nftables",
        # Conntrack limits are kernel-wide and not ours to change.
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
        "--oom-score-adj=0",
    )


def _kube_router(node: NodeSettings) -> Component:
    return _on_node(
        "kube-router",
        f"{_BIN}/kube-router",
        f"--kubeconfig={_ETC}/kube-router.kubeconfig",
        f"--hostname-override={node.name}",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        f"--service-cluster-ip-range={config.SERVICE_CIDR}",
    )


def _on_node(name: str, *argv: str) -> Component:
    return Component(name, argv, on_node=True)
