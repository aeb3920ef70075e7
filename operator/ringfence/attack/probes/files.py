"""Attacks on files: deleting everything, other tenants' files, settings of the kernel, tokens.

Whatever could be deleted is moved aside and back, and what could be written is only opened.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from itertools import islice
from typing import Final

from ringfence.attack.probes.kit import Attempt, Result, Scene, attempt, name, result, scratch

_VICTIMS: Final = ("/etc", "/usr/bin", "/usr/lib", "/bin", "/var", "/etc/passwd", "/home", "/root")
_SYSTEM: Final = ("/", "/etc", "/usr", "/usr/bin", "/var", "/home", "/root", "/opt", "/run")
_KERNEL_SETTINGS: Final = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sysrq-trigger",
    "/sys/kernel/uevent_helper",
    "/sys/fs/cgroup/release_agent",
)
_HOST_PLACES: Final = (
    "/var/lib/kubelet/pods",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/run/containerd/containerd.sock",
    "/var/run/docker.sock",
    "/etc/kubernetes",
    "/var/lib/aiagent/workspaces",
)
_TOKENS: Final = (
    "/var/run/secrets/kubernetes.io/serviceaccount/token",
    "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
    "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token",
)
_TOKEN_VARIABLES: Final = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)
_ENTRIES: Final = 50
"""Most entries of a directory that the search for tokens looks at."""
_MOST_FILES: Final = 5000
"""Most files that it looks at, for somebody may have mounted a whole disk."""
_JWT: Final = b"eyJ"
"""Every JSON web token begins so: base64 of `{"`."""


def remove_root(_scene: Scene) -> Result:
    """`rm -rf /`: tries to remove what there is, and to put something in its place."""
    attempts = [_move(path) for path in _VICTIMS if os.path.lexists(path)]
    attempts += [_create(path) for path in _SYSTEM if os.path.isdir(path)]
    return result(attempts, readOnlyRoot=_read_only("/"))


def _read_only(path: str) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _move(path: str) -> Attempt:
    """Removing and moving away need the same rights; only this can be taken back.

    An overlay says EXDEV of a directory of the image, after it has looked at the rights.
    """

    def there_and_back() -> None:
        aside = f"{path}.ringfence-attack"
        os.rename(path, aside)
        os.rename(aside, path)

    tried = attempt(f"rm -rf {path}", there_and_back)
    return tried._replace(outcome="through") if tried.errno == "EXDEV" else tried


def _create(directory: str) -> Attempt:
    def make() -> None:
        path = os.path.join(directory, ".ringfence-attack")
        os.mkdir(path)
        os.rmdir(path)

    return attempt(f"mkdir {os.path.join(directory, 'x')}", make)


def remove_workspace(scene: Scene) -> Result:
    """`rm -rf /work/*`: succeeds there, and nowhere that a link in it leads to."""
    with scratch() as directory:
        os.symlink("/etc", os.path.join(directory, "etc"))
        os.makedirs(os.path.join(directory, "a", "b"))
        attempts = [_move(os.path.join(directory, "etc", "passwd"))]
        place = "/work" if scene["own"] else directory  # never what belongs to somebody
        before = len(os.listdir(place))
        _empty(place)
        after = len(os.listdir(place))
    return result(attempts, removed=before, left=after)


def _empty(directory: str) -> None:
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            os.unlink(entry.path)


def write_sysctl(_scene: Scene) -> Result:
    """Opens kernel settings for writing, and writes nothing."""
    found = [path for path in _KERNEL_SETTINGS if os.path.exists(path)]
    read_only = _read_only("/proc/sys") and _read_only("/sys")
    return result((_open_for_writing(path) for path in found), readOnlySettings=read_only)


def _open_for_writing(path: str) -> Attempt:
    return attempt(f"open {path} for writing", lambda: os.close(os.open(path, os.O_WRONLY)))


def other_files(scene: Scene) -> Result:
    """Looks for the node's directories, and for the file that the neighbour has in its /work."""
    attempts = [_look(place) for place in _host_places()]
    marker = scene.get("marker", "")
    if marker:
        attempts += [_look(place) for place in _hiding_places(marker)]
    return result(attempts)


def _host_places() -> Iterator[str]:
    """Also below each mount: somebody may have mounted the node's root somewhere."""
    yield from _HOST_PLACES
    for mount in _mounts():
        yield from (mount + place for place in _HOST_PLACES if os.path.lexists(mount + place))


def _hiding_places(marker: str) -> Iterator[str]:
    yield from (os.path.join(mount or "/", marker) for mount in _mounts())
    for pid in _pids():
        yield from (f"/proc/{pid}/root/work/{marker}", f"/proc/{pid}/cwd/{marker}")


def _mounts() -> list[str]:
    """Mount points, / as the empty string; the kernel's own file systems are left out."""
    with open("/proc/self/mountinfo") as file:
        found = [line.split()[4] for line in file]
    kernel = ("/proc", "/sys", "/dev")
    places = {m for m in found if os.path.isdir(m) and not m.startswith(kernel)}
    return sorted("" if place == "/" else place for place in places)


def _pids() -> list[str]:
    return [entry for entry in os.listdir("/proc") if entry.isdigit()]


def _look(path: str) -> Attempt:
    """Seen is enough: a path that exists but does not open was not hidden by a namespace."""
    try:
        os.stat(path)
    except OSError as error:
        return Attempt(f"ls {path}", "refused", name(error.errno or errno.EIO))
    return Attempt(f"ls {path}", "through", detail="it is there")


def token(_scene: Scene) -> Result:
    """Looks for a ServiceAccount token, in the usual places and on every mount."""
    named = [os.environ[v] for v in _TOKEN_VARIABLES if v in os.environ]
    elsewhere = islice(_other_files(), _MOST_FILES)
    found = [a for a in map(_token, elsewhere) if a.outcome == "through"]
    return result([*(_token(path) for path in (*_TOKENS, *named)), *found])


def _other_files() -> Iterator[str]:
    """Files of the mounts that Kubernetes adds; the image's own and the workspace are left out."""
    for mount in _mounts():
        if mount not in ("", "/work", "/tmp"):
            yield mount
            for directory, below, files in os.walk(mount):
                below[:] = below[:_ENTRIES]
                yield from (os.path.join(directory, file) for file in files[:_ENTRIES])


def _token(path: str) -> Attempt:
    """Says where a token is, never what it is; waits for no pipe and no device."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            is_token = os.read(file, len(_JWT)) == _JWT
        finally:
            os.close(file)
    except OSError as error:
        return Attempt(f"read {path}", "refused", name(error.errno or errno.EIO))
    return Attempt(f"read {path}", "through" if is_token else "refused")
