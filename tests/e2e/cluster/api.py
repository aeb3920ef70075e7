"""The cluster as tests see it: kubectl, programs in its namespaces, faults, DNS names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster import config
from cluster.bringup import Bringup
from cluster.embedded import EmbeddedDriver
from cluster.errors import ClusterError
from cluster.progress import Progress
from cluster.shell import in_netns, run

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

    from cluster.config import Paths


class Cluster:
    """The running embedded cluster."""

    def __init__(self, paths: Paths | None = None, progress: Progress | None = None) -> None:
        self.paths = paths or config.default_paths()
        self._progress = progress or Progress()
        self._driver = EmbeddedDriver(self.paths, self._progress)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.paths.kubeconfig

    @property
    def state(self) -> Path:
        """The state directory; `audit.log` and `logs/` are in it."""
        return self.paths.state

    def up(self) -> bool:
        """Bring the cluster up; False, and at once, if it was up."""
        return self._driver.create()

    def down(self) -> None:
        """Remove the cluster."""
        self._driver.delete()

    def running(self) -> bool:
        """Whether every component runs."""
        return self._driver.all_alive()

    def kubectl(self, *args: str, input: str | None = None) -> str:  # noqa: A002 - as in subprocess
        """Run kubectl as administrator; returns stdout, raises with stderr."""
        kubectl = self.paths.bin / "kubectl"
        return run(kubectl, "--kubeconfig", self.kubeconfig, *args, stdin=input).stdout

    def node_exec(
        self, *argv: str, stdin: str | None = None, check: bool = True
    ) -> CompletedProcess[str]:
        """Run a program in the namespaces of node 1."""
        return self._driver.node.exec(*argv, stdin=stdin, check=check)

    def world_exec(self, *argv: str, check: bool = True) -> CompletedProcess[str]:
        """Run a program in the stand-in internet."""
        return run(*self.world_argv(*argv), check=check)

    def world_argv(self, *argv: str) -> list[str]:
        """Argv of a program in the stand-in internet, for servers that keep running."""
        return in_netns(config.WORLD_NETNS, *argv)

    def load_image(self, archive: Path, node: str = config.NODE_NAME) -> None:
        """Load an OCI archive, unless the same image is there.

        Node 2 starts with all that node 1 has by then; it is slow at what comes later.
        """
        if node == config.NODE_2_NAME:
            self._driver.load_image_on_node_2(archive)
        else:
            self._driver.load_image(archive)

    def prepare_node_2(self) -> None:
        """Make the disks of node 2, which takes minutes the first time; does not start it."""
        self._driver.prepare_node_2()

    def start_node_2(self) -> bool:
        """Start node 2 and wait until it is Ready; False, and at once, if it runs."""
        return self._driver.start_node_2()

    def stop_node_2(self) -> None:
        """Remove node 2 with its Node and Pods."""
        self._driver.stop_node_2()

    def require_node_2(self) -> None:
        """Raise if node 2 or a daemon on it has died, with the end of its log."""
        self._driver.node_2.require_alive()

    def node_2_last_words(self) -> str:
        """The end of node 2's console and logs."""
        return self._driver.node_2.last_words()

    def node_2_exec(
        self, *argv: str, stdin: str | None = None, check: bool = True
    ) -> CompletedProcess[str]:
        """Run a program on node 2, as root."""
        return self._driver.node_2.exec(*argv, stdin=stdin, check=check)

    def dns_override(self, name: str, address: str) -> None:
        """Let cluster DNS answer a name with an address; within about 0.3 s."""
        kept = [entry for entry in self._dns_entries() if name not in entry.split()[1:]]
        self._write_dns([*kept, f"{address} {name}"])

    def dns_reset(self, name: str) -> None:
        """Let cluster DNS forget a name again."""
        self._write_dns([entry for entry in self._dns_entries() if name not in entry.split()[1:]])

    def start(self, component: str) -> None:
        """Start a component that was stopped."""
        self._driver.supervisor.start(component)

    def stop(self, component: str) -> None:
        """End a component: etcd, apiserver, kubelet, containerd, kube-router and so on."""
        self._driver.supervisor.stop(component)

    def restart(self, component: str) -> None:
        """End a component and start it again; does not wait until it serves."""
        self.stop(component)
        self.start(component)

    def wait_ready(self) -> None:
        """Wait until the node is Ready."""
        Bringup(self.paths, self._driver.supervisor, self._progress).wait_ready()

    def _dns_entries(self) -> list[str]:
        return self.paths.dns_hosts.read_text().splitlines()

    def _write_dns(self, entries: list[str]) -> None:
        if not self.paths.dns_hosts.exists():
            message = "no cluster: `up` first"
            raise ClusterError(message)
        temporary = self.paths.dns_hosts.with_suffix(".new")
        temporary.write_text("".join(f"{entry}\n" for entry in entries))
        temporary.rename(self.paths.dns_hosts)
