"""The virtual machine that is node 2: QEMU's command line and the files it starts from.

Pure: texts and settings in, argv and the bytes of a tar out. Why a virtual machine, and one that
QEMU translates instead of KVM running it: docs/testbed.md.
"""

from __future__ import annotations

import io
import shlex
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cluster import config, node_config
from cluster.control_plane import Component

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MEMORY_MIB: Final = 3072
# With two, QEMU 7.2 lets one run an instruction that the other has just replaced (the kernel then
# panics, "Oops: int3"), and the same work takes twice the time of the host.
_PROCESSORS: Final = 1
_ETC: Final = "etc/ringfence"

# The kernel mounts the root by itself: its NVMe driver and ext4 are built in. All the rest
# comes with the first virtio disk, which is nothing but a tar.
_BOOTSTRAP: Final = "; ".join(
    (
        "set -e",
        "mount -t proc proc /proc",
        "mount -t sysfs sysfs /sys",
        "mount -t devtmpfs dev /dev",
        "modprobe virtio_blk",
        "tar -x -C / -f /dev/vda",
        f"exec /{_ETC}/init",
    )
)
_KERNEL: Final = (
    *("console=ttyS0", "quiet", "panic=-1"),  # a panic ends the machine
    *("root=/dev/nvme0n1", "rw", "net.ifnames=0"),
    *("mitigations=off", "transparent_hugepage=never", "init_on_alloc=0"),  # cost only time here
    *("apparmor=1", "lsm=landlock,lockdown,yama,integrity,apparmor,bpf"),
    *("init=/bin/sh", "--", "-c", f'"{_BOOTSTRAP}"'),
)


@dataclass(frozen=True)
class Disks:
    """What the machine is started from; none of it is ever written to."""

    kernel: Path
    root: Path
    store: Path
    settings: Path


def daemons() -> tuple[Component, ...]:
    """What runs on node 2, in the order of start; the last one is started by the host."""
    sshd = ("/usr/sbin/dropbear", "-F", "-E", "-s", "-r", "/run/host_key")
    address = f"{config.NODE_2_ADDRESS}:22"
    remote = Component("sshd", (*sshd, "-p", address))
    return (remote, *node_config.components(node_config.NODE_2))


def argv(disks: Disks, logs: Path) -> list[str]:
    """QEMU's command line; its standard output is the console."""
    machine = ["-machine", "q35", "-accel", "tcg", "-cpu", "max"]
    size = ["-smp", str(_PROCESSORS), "-m", str(MEMORY_MIB)]
    quiet = ["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"]
    kernel = ["-kernel", str(disks.kernel), "-append", " ".join(_KERNEL)]
    return [
        "qemu-system-x86_64",
        *(*machine, *size, *quiet, *kernel),
        *_drive("root", disks.root, "nvme,serial=root"),
        *_drive("settings", disks.settings, "virtio-blk-pci"),
        *_drive("store", disks.store, "virtio-blk-pci"),
        *("-netdev", f"tap,id=lan,ifname={config.NODE_2_TAP},script=no,downscript=no"),
        *("-device", "virtio-net-pci,netdev=lan"),
        *("-device", "virtio-serial-pci"),
        *(word for daemon in daemons() for word in _log_port(daemon.name, logs)),
    ]


def log_name(daemon: str) -> str:
    """The name of a daemon's log on the host."""
    return f"{config.NODE_2_NAME}-{daemon}"


def settings(texts: Mapping[str, str]) -> bytes:
    """The tar that becomes the first disk; `texts` are those that differ by cluster."""
    node = node_config.NODE_2
    files = node_config.files(node)
    written = {
        **{f"{_ETC}/{name}": text for name, text in {**files, **texts}.items()},
        **{f"{_ETC}/daemons/{one.name}": _daemon(one) for one in daemons()},
        **{f"{_ETC}/{name}": _script(name) for name in ("init", "start")},
        f"{_ETC}/settings": f"NAME={node.name}\nADDRESS={node.address}/24\n"
        f"GATEWAY={config.NODE_ADDRESS}\n",
        "etc/cni/net.d/10-ringfence.conflist": files["10-ringfence.conflist"],
        "etc/resolv.conf": "",
        "root/.ssh/authorized_keys": texts["client_key.pub"],
    }
    return _tar(written)


def _daemon(component: Component) -> str:
    return f"exec {shlex.join(component.argv)}\n"


def _script(name: str) -> str:
    return (config.SOURCES / "data" / config.NODE_2_NAME / name).read_text()


def _drive(name: str, image: Path, device: str) -> list[str]:
    # snapshot: what the machine writes goes to a file that QEMU has already deleted.
    options = "format=raw,if=none,snapshot=on,cache=unsafe,discard=unmap"
    return ["-drive", f"id={name},file={image},{options}", "-device", f"{device},drive={name}"]


def _log_port(daemon: str, logs: Path) -> list[str]:
    file = logs / f"{log_name(daemon)}.log"
    return [
        *("-chardev", f"file,id={daemon},path={file}"),
        *("-device", f"virtserialport,chardev={daemon},name={daemon}"),
    ]


def _tar(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            data = text.encode()
            # Only root lives on this machine; sshd insists on a private authorized_keys.
            entry.size, entry.mode = len(data), 0o700
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
