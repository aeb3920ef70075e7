"""The embedded driver: brings a whole cluster up on this machine and takes it away again.

All it makes is in the state directory, one cgroup, the `rf-` network namespaces and one
link of the host; `delete` removes exactly those.
"""

from __future__ import annotations

import fcntl
import os
import platform
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cluster import cgroups, config, images, network, processes
from cluster.apiclient import ApiClient
from cluster.bringup import Bringup
from cluster.errors import ClusterError
from cluster.node import Node
from cluster.node_2 import Node2
from cluster.progress import Progress
from cluster.shell import run
from cluster.supervisor import NODE_INIT, Supervisor
from cluster.volumes import disks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster.config import Paths

_LOCKED = "/var/lib"
_NODE = f"/api/v1/nodes/{config.NODE_NAME}"


class EmbeddedDriver:
    """The cluster on this machine."""

    def __init__(self, paths: Paths, progress: Progress | None = None) -> None:
        self.paths = paths
        self.supervisor = Supervisor(paths)
        self.node = Node(self.supervisor)
        self._progress = progress or Progress()
        self.node_2 = Node2(paths, self._progress)

    def create(self) -> bool:
        """Bring the cluster up, or repair it, or find that it is up; True if it is a new one."""
        _require_root_on_linux()
        with _lock(self._progress):
            if not self._complete():
                self._create_anew()
                return True
            if self.all_alive():
                self._progress.note(f"already up: {self._hint()}")
            else:
                self._bringup().repair()
            return False

    def delete(self) -> None:
        """Remove everything but the cache."""
        _require_root_on_linux()
        with _lock(self._progress), self._progress.step("Remove the cluster"):
            self._remove()

    def status(self) -> str:
        """One line per component, then the node's."""
        if not self._marker.exists():
            return "not up: `python -m cluster up` makes a cluster"
        lines = [self._line(name) for name in (NODE_INIT, *self.supervisor.components)]
        ready = ApiClient(self.paths).condition(_NODE, "Ready")
        lines.append(f"{config.NODE_NAME:<20} {'Ready' if ready else 'NotReady'}")
        return "\n".join([*lines, f"{config.NODE_2_NAME:<20} {self.node_2.status()}"])

    def logs(self, component: str | None) -> str:
        """The whole log of one component, or the end of each."""
        files = {file.stem: file for file in sorted(self.paths.logs.glob("*.log"))}
        if component is None:
            return "\n".join(f"==> {file} <==\n{processes.tail(file)}" for file in files.values())
        if component not in files:
            message = f"no log of {component!r}; there are: {', '.join(files) or 'none'}"
            raise ClusterError(message)
        return files[component].read_text(errors="replace")

    def load_image(self, archive: Path) -> None:
        """Import an OCI archive into containerd, unless the same image is there."""
        with self._progress.step(f"Load {archive.name}"):
            self.node.load_image(archive)
            images.remember(self.paths, archive)

    def load_image_on_node_2(self, archive: Path) -> None:
        """The same on node 2, which takes its time."""
        with self._progress.step(f"Load {archive.name} on {config.NODE_2_NAME}"):
            self.node_2.load_image(archive)

    def prepare_node_2(self) -> None:
        """Fill the cache with what node 2 needs."""
        _require_root_on_linux()
        with _lock(self._progress):
            self.node_2.prepare()

    def start_node_2(self) -> bool:
        """Start node 2 in a cluster that is up; False if it was up already."""
        _require_root_on_linux()
        with _lock(self._progress):
            if not self._complete():
                message = "no cluster: `python -m cluster up` first"
                raise ClusterError(message)
            return self.node_2.start()

    def stop_node_2(self) -> None:
        """Remove node 2; the rest of the cluster stays."""
        _require_root_on_linux()
        with _lock(self._progress), self._progress.step(f"Remove {config.NODE_2_NAME}"):
            self.node_2.stop()

    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.paths.kubeconfig

    def all_alive(self) -> bool:
        """Whether every component runs."""
        return all(self.supervisor.find(name) for name in self.supervisor.components)

    @property
    def _marker(self) -> Path:
        """Exists from the end of a successful `create` on."""
        return self.paths.state / "complete"

    def _complete(self) -> bool:
        """Whether a cluster was brought up and its node was not lost (by a reboot, say)."""
        return self._marker.exists() and self.supervisor.find(NODE_INIT) is not None

    def _create_anew(self) -> None:
        bringup = self._bringup()
        archives = bringup.prepare()
        self._remove()  # what an earlier, killed run left
        try:
            bringup.run(archives)
        except KeyboardInterrupt:
            self._progress.note("interrupted: removing what was started")
            self._remove()
            raise
        self._marker.touch()
        self._progress.note(f"up after {self._progress.elapsed:.1f} s: {self._hint()}")

    def _bringup(self) -> Bringup:
        return Bringup(self.paths, self.supervisor, self._progress)

    def _remove(self) -> None:
        self.supervisor.kill_all()
        network.remove()
        cgroups.remove()
        disks.release(self.paths.state)
        # Mounts were made in the node's own mount namespace and are gone with it; should one
        # be left all the same, nothing on it is deleted.
        run("rm", "-rf", "--one-file-system", self.paths.state)

    def _hint(self) -> str:
        return f"export KUBECONFIG={self.paths.kubeconfig}"

    def _line(self, name: str) -> str:
        found = self.supervisor.find(name)
        return f"{name:<20} {f'running, pid {found.pid}' if found else 'not running'}"


def _require_root_on_linux() -> None:
    if platform.system() != "Linux" or os.geteuid() != 0:
        message = (
            "the embedded cluster needs Linux and root (it makes network namespaces and mounts); "
            "elsewhere use `--driver kind` with a Docker engine"
        )
        raise ClusterError(message)


@contextmanager
def _lock(progress: Progress) -> Iterator[None]:
    """Only one `up` or `down` at a time; another one waits and says so.

    The lock is on a directory that exists anyway: a lock file would be left behind.
    """
    directory = os.open(_LOCKED, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.note("waiting for another `up` or `down` to end")
            fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)
