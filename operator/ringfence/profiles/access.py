"""The one table of what AppArmor lets the agent do: paths, sockets, programs that are never run.

Part of the profile in `apparmor` and of its rendering for the Security Profiles Operator in `spo`.
It is data: it must not know how a profile is written. What is not allowed here is refused and
recorded; DENIED is for what a broader line of ALLOWED would let through, and for what must stay
refused whatever ALLOWED becomes. Paths hold no other pattern than `*` (one level) and `**` (any
depth).
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Access(NamedTuple):
    """Paths that share their permissions and their reason.

    Attributes:
        why: The reason, for the reader of the table and of the generated profile.
        paths: Globs; a directory itself ends in `/`.
        permissions: AppArmor's letters: r, w, k (lock), l (link), m (map as code), ix (run).
    """

    why: str
    paths: tuple[str, ...]
    permissions: str


class Denial(NamedTuple):
    """Paths that nothing may touch, neither they themselves nor anything below them.

    Attributes:
        why: The reason.
        trees: Globs without a trailing `/`.
    """

    why: str
    trees: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


READABLE: Final = Access("the image is there to be read, and nothing more", ("/", "/**"), "r")
PROGRAMS: Final = Access(
    "programs and libraries of the image",
    _words("/bin/** /lib/** /lib32/** /lib64/** /libx32/** /opt/** /sbin/** /usr/**"),
    "mrix",
)
WORKSPACE: Final = Access(
    "the workspace: pip and npm install programs and native libraries here",
    ("/work/", "/work/**"),
    "mrwklix",
)
TEMPORARY: Final = Access(
    "temporary files and shared memory, never run and never mapped as code",
    ("/tmp/", "/tmp/**", "/dev/shm/", "/dev/shm/**"),  # noqa: S108 - rules about it, no use of it
    "rwkl",
)
DEVICES: Final = Access(
    "devices of every container, and terminals",
    _words("/dev/full /dev/null /dev/ptmx /dev/pts/* /dev/random /dev/tty /dev/urandom /dev/zero"),
    "rw",
)
THREAD_NAMES: Final = Access(
    "names of the agent's own threads", ("/proc/*/comm", "/proc/*/task/*/comm"), "rw"
)
ALLOWED: Final = (READABLE, PROGRAMS, WORKSPACE, TEMPORARY, DEVICES, THREAD_NAMES)

DENIED: Final = (
    Denial("other tenants and the code of the service", _words("/app /skills /var/lib/aiagent")),
    Denial(
        "sockets of container runtimes: whoever talks to one owns the node",
        _words(
            """
            /run/buildkit /run/containerd /run/cri-dockerd.sock /run/crio /run/docker
            /run/docker.sock /run/dockershim.sock /run/k3s /run/podman
            /var/run/buildkit /var/run/containerd /var/run/cri-dockerd.sock /var/run/crio
            /var/run/docker /var/run/docker.sock /var/run/dockershim.sock /var/run/k3s
            /var/run/podman
            """
        ),
    ),
    Denial(
        "state and secrets of a node, should a mount ever bring them in",
        _words(
            """
            /etc/kubernetes /etc/rancher /var/lib/containerd /var/lib/containers /var/lib/docker
            /var/lib/etcd /var/lib/kubelet /var/lib/rancher
            """
        ),
    ),
    Denial("tokens that a cluster puts into Pods", _words("/run/secrets /var/run/secrets")),
    Denial("keys of whoever built the image", _words("/home/*/.ssh /root/.ssh")),
    Denial(
        "passwords and who may become root",
        _words(
            """
            /etc/gshadow /etc/gshadow- /etc/security/opasswd /etc/shadow /etc/shadow- /etc/sudoers
            /etc/sudoers.d
            """
        ),
    ),
    Denial(
        "environment and memory of processes",
        _words("/proc/*/environ /proc/*/mem /proc/*/task/*/environ /proc/*/task/*/mem"),
    ),
    Denial(
        "the kernel's memory, symbols, log and switches",
        _words(
            """
            /dev/kmem /dev/kmsg /dev/mem /dev/port /proc/kallsyms /proc/kcore /proc/kmsg
            /proc/sysrq-trigger /sys/firmware /sys/fs/bpf /sys/kernel/debug /sys/kernel/security
            /sys/kernel/tracing
            """
        ),
    ),
    Denial("disks", _words("/dev/dm-* /dev/loop* /dev/md* /dev/nvme* /dev/sd* /dev/vd* /dev/xvd*")),
    Denial(
        "the termination message: a file on the node's own disk, whose size nothing limits",
        _words("/dev/termination-log"),
    ),
)

TRIPWIRES: Final = _words(
    """
    chroot doas insmod kexec kmod losetup modprobe mount newgidmap newuidmap nsenter pivot_root
    pkexec rmmod runuser setpriv su sudo swapoff swapon switch_root umount unshare
    """
)
"""Programs for becoming root or leaving. No control, as a copy in the workspace runs: a signal."""

SOCKETS: Final = (
    *(f"unix {kind}" for kind in ("stream", "dgram", "seqpacket")),
    *(f"{family} {kind}" for family in ("inet", "inet6") for kind in ("stream", "dgram")),
    "netlink raw",  # what getifaddrs() of libc, Node.js and Go opens
)
REFUSED_FAMILIES: Final = _words("alg packet vsock")
"""Kernel crypto, raw frames, the hypervisor: whatever SOCKETS becomes."""
