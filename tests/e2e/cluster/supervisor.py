"""Starts, finds and ends the cluster's processes by name.

It knows where a component runs (control namespace or node) and where its log and pid
file are; what the components are is decided elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster import config, control_plane, network, node_config, processes
from cluster.errors import ClusterError
from cluster.shell import in_netns, in_node

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cluster.config import Paths
    from cluster.control_plane import Component
    from cluster.processes import Process

NODE_INIT = "node-init"


class Supervisor:
    """The processes of one cluster."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        both = (*control_plane.components(paths), *node_config.components())
        self.components = {component.name: component for component in both}

    def start(self, name: str) -> None:
        """Start a component in its namespaces, unless it runs."""
        component = self.component(name)
        if self.find(name) is None:
            found = processes.start(self._argv(component), self.log(name), child=component.on_node)
            processes.write_pid_file(self._pid_file(name), found)

    def start_node_init(self, rootfs: Path) -> None:
        """Start pid 1 of the node, which owns its mount, pid and host name namespaces."""
        unshare = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child"]
        script = config.SOURCES / "data" / "enter-node.sh"
        arguments = (self._paths.node, rootfs, self._paths.bin)
        argv = [*unshare, "bash", str(script), *map(str, arguments)]
        found = processes.start(in_netns(config.NODE_NETNS, *argv), self.log(NODE_INIT), child=True)
        processes.write_pid_file(self._pid_file(NODE_INIT), found)

    def stop(self, name: str) -> None:
        """End a component, as a crash of it would be seen by the others."""
        self.component(name)
        if (found := self.find(name)) is not None:
            processes.stop(found)
        self._pid_file(name).unlink(missing_ok=True)

    def find(self, name: str) -> Process | None:
        """The living process of a component."""
        return processes.read_pid_file(self._pid_file(name))

    def component(self, name: str) -> Component:
        """A component by name; an unknown name is an error that lists the known ones."""
        if name not in self.components:
            message = f"no component {name!r}; there are: {', '.join(self.components)}"
            raise ClusterError(message)
        return self.components[name]

    def node_pid(self) -> int:
        """The host's number of the node's pid 1."""
        found = self.find(NODE_INIT)
        if found is None:
            message = f"{config.NODE_NAME} is not running: `python -m cluster up` starts it"
            raise ClusterError(message)
        return found.pid

    def require_alive(self, names: Iterable[str]) -> None:
        """Raise for the first component that died, with the end of its log."""
        for name in names:
            if self.find(name) is None:
                raise processes.died(self.log(name))

    def kill_all(self) -> None:
        """End every process of the cluster, also those no pid file speaks of."""
        files = sorted(self._paths.pids.glob("*.pid"))
        found = [one for file in files if (one := processes.read_pid_file(file)) is not None]
        for name in network.NAMESPACES:
            found += processes.in_namespace(network.RUN / name)
        processes.kill(found)

    def log(self, name: str) -> Path:
        """The log file of a component."""
        return self._paths.logs / f"{name}.log"

    def _argv(self, component: Component) -> list[str]:
        if component.on_node:
            return in_node(self.node_pid(), *component.argv)
        return in_netns(config.CONTROL_NETNS, *component.argv)

    def _pid_file(self, name: str) -> Path:
        return self._paths.pids / f"{name}.pid"
