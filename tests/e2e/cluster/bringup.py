"""The steps that bring the embedded cluster up, in their order.

Each step's content is in its own module; nothing here is undone here (see `embedded.py`).
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from cluster import binaries, cgroups, config, images, network, node_config, pki, rootfs
from cluster.apiclient import ApiClient
from cluster.node import Node
from cluster.shell import run, wait_until
from cluster.supervisor import NODE_INIT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cluster.config import Paths
    from cluster.progress import Progress
    from cluster.supervisor import Supervisor

_NODE = f"/api/v1/nodes/{config.NODE_NAME}"
_DNS = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
_DEFAULT_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"


class Bringup:
    """One bringing up of a cluster."""

    def __init__(self, paths: Paths, supervisor: Supervisor, progress: Progress) -> None:
        self._paths = paths
        self._supervisor = supervisor
        self._progress = progress
        self._node = Node(supervisor)
        self._started: list[str] = []

    def prepare(self) -> dict[str, Path]:
        """Fill the cache; returns the archives of the cluster's own images by name."""
        self._paths.cache.mkdir(parents=True, exist_ok=True)
        rootfs.prepare_host(self._progress)
        binaries.prepare(self._paths, self._progress)
        root = rootfs.prepare_node(self._paths, self._progress)
        return images.build_all(self._paths, root, self._progress)

    def run(self, archives: dict[str, Path]) -> None:
        """Start everything on a machine where nothing of the cluster is left."""
        with self._progress.step("Networks, keys and configuration"):
            self._write_state()
            network.create()
            cgroups.create()
        with self._progress.step("Control plane"):
            self._start_control_plane()
        with self._progress.step(f"{config.NODE_NAME} Ready"):
            self._start_node(archives)
        with self._progress.step("Cluster DNS"):
            self._start_dns()
            self._node.load_image(archives[config.BUSYBOX_IMAGE])

    def repair(self) -> None:
        """Start the components that are missing from a cluster that was up."""
        with self._progress.step("Start what is missing"):
            self._start(*self._supervisor.components)
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until the node is Ready and cluster DNS serves."""
        client = ApiClient(self._paths)
        self._wait(f"{config.NODE_NAME} Ready", lambda: client.condition(_NODE, "Ready"), 60)

    def _write_state(self) -> None:
        for directory in (self._paths.state, self._paths.logs, self._paths.pids):
            directory.mkdir(parents=True, exist_ok=True)
        for name in ("root", "upper", "work", "containerd", "kubelet", "config", "dns", "volumes"):
            (self._paths.node / name).mkdir(parents=True)
        # Proof for a test that running a cluster changes no setting of the machine.
        (self._paths.state / "sysctl.before").write_text(run("sysctl", "-ae").stdout)
        pki.create_all(self._paths)
        (self._paths.node / "hostname").write_text(config.NODE_NAME)
        self._paths.dns_hosts.write_text("")
        for name, text in node_config.files().items():
            (self._paths.node / "config" / name).write_text(text)
        for name in node_config.CREDENTIALS:
            shutil.copy(self._paths.pki / name, self._paths.node / "config" / name)

    def _start_control_plane(self) -> None:
        self._start("etcd", "apiserver")
        # The node's own parts need no API server: they use the time it takes to start.
        self._supervisor.start_node_init(rootfs.node_root(self._paths))
        self._started.append(NODE_INIT)
        self._wait("entering the node", self._node.entered, 10)
        self._start("containerd")
        self._wait("API server ready", ApiClient(self._paths).ready, 60)
        self._start("controller-manager", "scheduler")

    def _start_node(self, archives: dict[str, Path]) -> None:
        self._apply("bootstrap.yaml", "storage.yaml")
        self._start("volumes")
        self._wait("containerd ready", self._node.containerd_answers, 20)
        self._node.load_image(archives[config.PAUSE_IMAGE])
        self._start("kubelet", "kube-proxy")
        self._node.load_image(archives[config.COREDNS_IMAGE])
        self._apply("coredns.yaml")
        self.wait_ready()
        self._start("kube-router")  # it needs the address the kubelet has reported by now

    def _start_dns(self) -> None:
        client = ApiClient(self._paths)
        self._wait("cluster DNS available", lambda: client.condition(_DNS, "Available"), 60)
        self._wait("a service account", lambda: client.get(_DEFAULT_ACCOUNT) is not None, 30)

    def _start(self, *names: str) -> None:
        for name in names:
            self._supervisor.start(name)
        self._started += names

    def _wait(self, what: str, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition, but not past the death of a component."""

        def met() -> bool:
            self._supervisor.require_alive(self._started)
            return condition()

        wait_until(what, met, seconds)

    def _apply(self, *manifests: str) -> None:
        kubectl = self._paths.bin / "kubectl"
        files = [f"--filename={config.SOURCES / 'data' / manifest}" for manifest in manifests]
        run(kubectl, "--kubeconfig", self._paths.kubeconfig, "apply", *files)
