"""Node 2: a virtual machine with AppArmor and cgroup v2, started only where a test asks for it.

Its disks are cached; all it makes while it runs are two processes, one link, a directory
below the cluster's state and the Node object, and `stop` removes exactly those.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from cluster import config, disks, images, network, processes, rootfs, vm
from cluster.apiclient import ApiClient
from cluster.errors import ClusterError
from cluster.node import lists_image
from cluster.node_config import CREDENTIALS
from cluster.shell import in_netns, run, wait_until
from cluster.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from subprocess import CompletedProcess

    from cluster.config import Paths
    from cluster.progress import Progress

NAME: Final = config.NODE_2_NAME
MACHINE: Final = NAME
CONNECTION: Final = f"{NAME}-ssh"

_CTR = ("ctr", "-n", "k8s.io", "images")
_NODE = f"/api/v1/nodes/{NAME}"
_HOST_PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mke2fs": "e2fsprogs",
    "ssh": "openssh-client",
}
_IMAGES = (config.PAUSE_IMAGE, config.BUSYBOX_IMAGE)
_RULES = "nft list chain ip kube-proxy services && nft list chain ip filter KUBE-ROUTER-FORWARD"
# A quiet machine needs a tenth of this; the one in CI also runs tests meanwhile.
_PATIENCE_SECONDS = 300
_DEATH = re.compile(r"^ringfence: (\S+) ended with status \d+", re.MULTILINE)


class Node2:
    """The virtual machine, seen from the host."""

    def __init__(self, paths: Paths, progress: Progress) -> None:
        self._paths = paths
        self._progress = progress
        self._ssh = Ssh(paths.node_2)

    @property
    def running(self) -> bool:
        """Whether the machine was started to the end and still runs."""
        return self._marker.exists() and all(map(self._find, (MACHINE, CONNECTION)))

    def status(self) -> str:
        """The state in one line for a reader."""
        found = self._find(MACHINE)
        if found is None:
            return "not running"
        ready = "Ready" if ApiClient(self._paths).condition(_NODE, "Ready") else "NotReady"
        return f"running, pid {found.pid}, {ready}"

    def prepare(self) -> vm.Disks:
        """Fill the cache, with the images that node 1 has."""
        rootfs.install_packages(rootfs.missing_packages(_HOST_PROGRAMS), self._progress)
        disks.remove_leftovers(self._paths)
        root = rootfs.prepare_node(self._paths, self._progress)
        own = images.build_all(self._paths, root, self._progress)
        archives = [*(own[name] for name in _IMAGES), *images.loaded(self._paths)]
        return vm.Disks(
            kernel=disks.kernel(self._paths),
            root=disks.root(self._paths, self._progress),
            store=disks.store(self._paths, archives, self._progress),
            settings=self._paths.node_2 / "settings.tar",
        )

    def start(self) -> bool:
        """Start the machine and join it to the cluster; False, and at once, if it runs."""
        if self.running:
            self._progress.note(f"{NAME} is already up")
            return False
        made = self.prepare()
        self.stop()  # what an earlier, killed run left
        try:
            self._start(made)
        except BaseException:
            self.stop()
            raise
        self._marker.touch()
        self._progress.note(f"{NAME} is up after {self._progress.elapsed:.1f} s")
        return True

    def stop(self) -> None:
        """Remove the machine and the Node; its logs stay until the cluster goes."""
        processes.kill([one for name in (CONNECTION, MACHINE) if (one := self._find(name))])
        network.remove_tap()
        self._forget_node()
        for name in (CONNECTION, MACHINE):
            self._pid_file(name).unlink(missing_ok=True)
        run("rm", "-rf", "--one-file-system", self._paths.node_2)

    def exec(
        self, *argv: str, stdin: str | None = None, check: bool = True
    ) -> CompletedProcess[str]:
        """Run a program on the node."""
        self._require_running()
        return run(*self._ssh.run(*argv), stdin=stdin, check=check)

    def load_image(self, archive: Path) -> bool:
        """Import an OCI archive, at the machine's slow speed; False if the image is there."""
        if lists_image(self.exec(*_CTR, "list").stdout, archive):
            return False
        with archive.open("rb") as data:
            run(*self._ssh.run(*_CTR, "import", "-"), stdin=data)
        return True

    def _start(self, made: vm.Disks) -> None:
        self._paths.node_2.mkdir(mode=0o700)
        made.settings.write_bytes(vm.settings(self._texts()))
        self._kubectl("apply", "-f", str(config.SOURCES / "data" / NAME / "node.yaml"))
        network.create_tap()
        with self._progress.step(f"Boot {NAME}"):
            self._boot(made)
        with self._progress.step(f"{NAME} Ready"):
            client = ApiClient(self._paths)
            self._wait(f"{NAME} Ready", lambda: client.condition(_NODE, "Ready"))
            # It needs the address that the kubelet has reported by now.
            run(*self._ssh.run("/etc/ringfence/start", "kube-router"))
        with self._progress.step(f"Services and network policies on {NAME}"):
            check = self._ssh.run("sh", "-c", _RULES)
            self._wait("their rules", lambda: run(*check, check=False).returncode == 0)

    def _boot(self, made: vm.Disks) -> None:
        for log in self._paths.logs.glob(f"{NAME}*.log"):  # of an earlier start
            log.unlink()
        # Its one processor is one thread of ours; without its share, heartbeats come too late.
        self._launch(MACHINE, ["nice", "-n", "-10", *vm.argv(made, self._paths.logs)])
        self._wait("start of sshd", lambda: _has_content(self._log("sshd")))
        self._wait("a connection", self._connected)

    def _connected(self) -> bool:
        """Whether there is a connection; begins one (again: the first may meet stale ARP)."""
        if self._find(CONNECTION) is None:
            self._launch(CONNECTION, self._ssh.connect())
        return run(*self._ssh.check(), check=False).returncode == 0

    def _launch(self, name: str, argv: list[str]) -> None:
        # QEMU puts what the machine writes below TMPDIR, into a file that it deletes at once.
        environment = ("env", f"TMPDIR={self._paths.node_2}")
        started = processes.start(
            in_netns(config.CONTROL_NETNS, *environment, *argv), self._paths.logs / f"{name}.log"
        )
        processes.write_pid_file(self._pid_file(name), started)

    def _texts(self) -> dict[str, str]:
        pki = self._paths.pki
        # The node knows its own credentials by the same names as node 1 does.
        of_node = {name: name.replace("kubelet", "kubelet-2") for name in CREDENTIALS}
        texts = {name: (pki / file).read_text() for name, file in of_node.items()}
        return texts | self._ssh.write_keys()

    def _wait(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait for a condition, but not past the death of the machine or of a daemon on it."""

        def met() -> bool:
            self.require_alive()
            return condition()

        try:
            wait_until(what, met, _PATIENCE_SECONDS)
        except ClusterError as error:
            if "did not happen" not in str(error):
                raise
            message = f"{error}\n{self.last_words()}"
            raise ClusterError(message) from None

    def last_words(self) -> str:
        """The end of the console and of the logs that tell most."""
        names = (MACHINE, CONNECTION, *map(vm.log_name, ("kubelet", "containerd")))
        logs = [self._paths.logs / f"{name}.log" for name in names]
        return "\n".join(f"The end of {log}:\n{processes.tail(log)}" for log in logs)

    def require_alive(self) -> None:
        """Raise for the machine or the daemon that died, with the end of its log."""
        console = self._paths.logs / f"{MACHINE}.log"
        if self._find(MACHINE) is None:
            raise processes.died(console)
        if dead := _DEATH.search(console.read_text(errors="replace")):
            raise processes.died(self._log(dead[1]))

    def _forget_node(self) -> None:
        """Remove the Node and its Pods: nobody is left who would end them."""
        if not self._paths.kubeconfig.exists() or not ApiClient(self._paths).ready():
            return
        self._kubectl("delete", "node", NAME, "--ignore-not-found")
        selector = ("--all-namespaces", f"--field-selector=spec.nodeName={NAME}")
        for pod in json.loads(self._kubectl("get", "pods", *selector, "-o", "json"))["items"]:
            metadata = pod["metadata"]
            where = ("-n", metadata["namespace"], metadata["name"])
            now = ("--force", "--grace-period=0", "--ignore-not-found", "--wait=false")
            self._kubectl("delete", "pod", *where, *now)

    def _kubectl(self, *argv: str) -> str:
        kubectl = self._paths.bin / "kubectl"
        return run(kubectl, "--kubeconfig", self._paths.kubeconfig, *argv).stdout

    def _require_running(self) -> None:
        if not self.running:
            message = f"{NAME} is not running: `python -m cluster {NAME} up` starts it"
            raise ClusterError(message)

    def _find(self, name: str) -> processes.Process | None:
        return processes.read_pid_file(self._pid_file(name))

    def _log(self, daemon: str) -> Path:
        return self._paths.logs / f"{vm.log_name(daemon)}.log"

    def _pid_file(self, name: str) -> Path:
        return self._paths.pids / f"{name}.pid"

    @property
    def _marker(self) -> Path:
        return self._paths.node_2 / "complete"


def _has_content(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0
