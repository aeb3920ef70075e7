"""What every kind of test cluster can do, and the choice between them."""

from __future__ import annotations

import shutil
import subprocess
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


class DriverName(StrEnum):
    """How the cluster is run."""

    EMBEDDED = "embedded"
    KIND = "kind"
    AUTO = "auto"


class Driver(Protocol):
    """A cluster that can be created, looked at and deleted."""

    def create(self) -> bool:
        """Bring the cluster up; False if it was up already."""

    def delete(self) -> None:
        """Remove the cluster and everything it made, except caches."""

    def status(self) -> str:
        """The state in a few lines for a reader."""

    def logs(self, component: str | None) -> str:
        """The logs of one component or the end of each."""

    def load_image(self, archive: Path) -> None:
        """Make an OCI archive's image known to the node."""

    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""


def resolve(wanted: DriverName) -> DriverName:
    """The driver to use: kind where a Docker engine answers, else the embedded one."""
    if wanted is not DriverName.AUTO:
        return wanted
    return DriverName.KIND if docker_answers() else DriverName.EMBEDDED


def docker_answers() -> bool:
    """Whether a Docker engine can be used here."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
