"""Which container of a Pod a process belongs to, by what is mounted in it. Pure.

The kubelet mounts a file of its own directory into every container; the path of that file names
Pod and container, and no process in a Sandbox may mount anything. The container's command, host
name or environment say nothing: whoever is inside chooses them.
"""

import re
from collections.abc import Iterable
from typing import Final

from ringfence.node.procfs import Mount, Status

_OWN_FILE: Final = re.compile(r"/pods/(?P<uid>[0-9a-f-]{36})/containers/(?P<name>[^/]+)/[^/]+$")


def container_name(mounts: Iterable[Mount], pod_uid: str) -> str | None:
    """The name of the container in the Pod's spec; None for the pause container."""
    for mount in mounts:
        found = _OWN_FILE.search(mount.root)
        if found and found["uid"] == pod_uid:
            return found["name"]
    return None


def kubelets_file(mounts: Iterable[Mount]) -> Mount | None:
    """That file itself, the termination message, wherever the Pod's spec puts it."""
    return next((mount for mount in mounts if _OWN_FILE.search(mount.root)), None)


def is_init(status: Status) -> bool:
    """Whether it is the first process of a pid namespace below the reader's."""
    return len(status.pids) > 1 and status.pids[-1] == 1


def is_starting(status: Status) -> bool:
    """Whether the runtime has not yet become the container's program.

    A process can give itself this name. It then only delays what is said about it.
    """
    return status.command.startswith("runc:[")
