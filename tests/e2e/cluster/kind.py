"""The kind driver: the same cluster commands where a Docker engine exists.

Only calls `kind`; its clusters have no stand-in internet and no fault injection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster import config
from cluster.shell import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from subprocess import CompletedProcess

    from cluster.config import Paths

NAME = "ringfence"


class KindDriver:
    """One kind cluster named `ringfence`."""

    def __init__(self, paths: Paths, runner: Callable[..., CompletedProcess[str]] = run) -> None:
        self._paths = paths
        self._run = runner

    def create(self) -> bool:
        """Create the cluster unless it exists."""
        self._paths.state.mkdir(parents=True, exist_ok=True)
        missing = NAME not in self._kind("get", "clusters").split()
        if missing:
            image = f"kindest/node:{config.KUBERNETES_VERSION}"
            self._kind("create", "cluster", "--name", NAME, "--image", image, "--wait", "120s")
        self.kubeconfig().write_text(self._kind("get", "kubeconfig", "--name", NAME))
        return missing

    def delete(self) -> None:
        """Delete the cluster."""
        self._kind("delete", "cluster", "--name", NAME)
        self.kubeconfig().unlink(missing_ok=True)

    def status(self) -> str:
        """The nodes of the cluster."""
        return self._kind("get", "nodes", "--name", NAME)

    def logs(self, component: str | None) -> str:
        """Export all logs; kind has no logs of a single component."""
        target = self._paths.logs
        self._kind("export", "logs", str(target), "--name", NAME)
        wanted = f"{component}*.log" if component else "*.log"
        return "\n".join(str(file) for file in sorted(target.rglob(wanted)))

    def load_image(self, archive: Path) -> None:
        """Load an archive into the node."""
        self._kind("load", "image-archive", str(archive), "--name", NAME)

    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self._paths.kubeconfig

    def _kind(self, *words: str) -> str:
        return self._run("kind", *words).stdout
