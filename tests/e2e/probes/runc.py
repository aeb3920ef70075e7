"""Run a Python program in a container made by the real runc, with or without a seccomp profile.

The container sees this machine's /usr and Python read-only, has no network and ends with the
program. Nothing of it stays behind. It is the place where *all* capabilities can be given, so
that a refusal can only come from the filter.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
_NAMES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
    SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
    WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
_CAPABILITIES = _NAMES.split()  # in the order of their bits


class Container(NamedTuple):
    """How to run the program.

    Attributes:
        seccomp: The profile as the runtime reads it, None for no filter.
        privileged: Root with every capability this process has, else nobody with none.
    """

    seccomp: dict[str, Any] | None
    privileged: bool


def run(container: Container, script: Path) -> str:
    """Run the script in a container of its own and return what it printed."""
    with _bundle(container) as bundle, script.open("rb") as source:
        finished = subprocess.run(
            [_runc(), "run", "--bundle", str(bundle), f"ringfence-{uuid.uuid4().hex[:12]}"],
            stdin=source,
            capture_output=True,
            timeout=60,
            check=False,
        )
    if finished.returncode != 0:
        message = f"runc ended with {finished.returncode}: {finished.stderr.decode()[-2000:]}"
        raise RuntimeError(message)
    return finished.stdout.decode()


def _runc() -> str:
    found = shutil.which("runc")
    if found is None:
        message = "runc is not installed on this machine; run `apt-get install runc`"
        raise FileNotFoundError(message)
    return found


@contextmanager
def _bundle(container: Container) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ringfence-runc-") as name:
        bundle = Path(name)
        bundle.chmod(0o755)
        root = bundle / "rootfs"
        root.mkdir()
        for link in ("bin", "lib", "lib64", "sbin"):
            (root / link).symlink_to(f"usr/{link}")
        (bundle / "config.json").write_text(json.dumps(_config(container)))
        yield bundle


def _config(container: Container) -> dict[str, Any]:
    held = _held_capabilities() if container.privileged else []
    user = 0 if container.privileged else NOBODY
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs", "readonly": True},
        "mounts": list(_mounts()),
        "process": {
            "terminal": False,
            "user": {"uid": user, "gid": user},
            "args": [f"{sys.base_prefix}/bin/python3", "-I", "-"],
            "env": ["PATH=/usr/bin", "LANG=C.UTF-8"],
            "cwd": "/",
            "noNewPrivileges": True,  # else the filter is loaded before runc itself is done
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), held),
        },
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
            **({"seccomp": _loadable(container.seccomp)} if container.seccomp else {}),
        },
    }


def _loadable(seccomp: dict[str, Any]) -> dict[str, Any]:
    """Leave out the flags for a runc before 1.2, which refuses any; they decide nothing."""
    shown = subprocess.run([_runc(), "features"], capture_output=True, check=True).stdout
    known = json.loads(shown)["linux"]["seccomp"].get("knownFlags", [])
    if set(seccomp["flags"]) <= set(known):
        return seccomp
    return {key: value for key, value in seccomp.items() if key != "flags"}


def _mounts() -> Iterator[dict[str, Any]]:
    """The least a Python needs: /proc, /dev, /tmp, and the programs read-only."""
    yield {"destination": "/proc", "type": "proc", "source": "proc"}
    yield {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}
    yield {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}  # noqa: S108
    for path in dict.fromkeys(("/usr", sys.base_prefix)):
        options = ["rbind", "ro", "nosuid", "nodev"]
        yield {"destination": path, "type": "bind", "source": path, "options": options}


def _held_capabilities() -> list[str]:
    """All capabilities of this process: one it lacks itself (in a VM, say) cannot be given."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("CapEff:"))
    held = int(line.split()[1], 16)
    return [f"CAP_{name}" for bit, name in enumerate(_CAPABILITIES) if held >> bit & 1]
