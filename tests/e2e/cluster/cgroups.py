"""The one control group of the cluster: made before the kubelet starts, removed after it.

The kubelet is told to stay below it, so everything below it is ours to remove. The
host's own groups and mounts are never changed.
"""

from __future__ import annotations

import contextlib
import os
from functools import partial
from pathlib import Path

from cluster import config
from cluster.shell import wait_until

_MOUNT = Path("/sys/fs/cgroup")


def create(mount: Path = _MOUNT) -> None:
    """Make the group in every hierarchy."""
    for hierarchy in hierarchies(mount):
        group = hierarchy / config.CGROUP_ROOT
        group.mkdir(exist_ok=True)
        # A new v1 cpuset group is empty, and nothing can be put into it before it is filled.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (group / name).exists() and not (group / name).read_text().strip():
                (group / name).write_text((hierarchy / name).read_text())


def remove(mount: Path = _MOUNT) -> None:
    """Remove the group and all below it; their processes must be gone."""
    for hierarchy in hierarchies(mount):
        group = hierarchy / config.CGROUP_ROOT
        wait_until(f"removal of {group}", partial(_removed, group), 10)


def _removed(group: Path) -> bool:
    """Remove what can be removed; the kernel lets go of a group a moment after its processes."""
    for directory, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(directory).rmdir()
    return not group.exists()


def hierarchies(mount: Path = _MOUNT) -> list[Path]:
    """The roots of all hierarchies: one with cgroup v2, one per controller with v1."""
    if (mount / "cgroup.procs").exists():
        return [mount]
    candidates = (entry for entry in mount.iterdir() if not entry.is_symlink())
    return sorted(entry for entry in candidates if (entry / "cgroup.procs").exists())
