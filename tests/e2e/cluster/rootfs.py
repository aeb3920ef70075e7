"""The node's root file system and the host's own packages, both from Debian.

The root file system is a cached directory named by a hash of its recipe. Nodes lay an
overlay over it and never write into it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.errors import ClusterError
from cluster.shell import run, run_long

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cluster.config import Paths
    from cluster.progress import Progress

# Program that shows it is there, and the package that brings it.
_HOST_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "mkfs.ext4": "e2fsprogs",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "sysctl": "procps",
    "runc": "runc",  # tests of the seccomp profile run it by itself
}
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

SUITE = "sid"  # Kubernetes 1.36 needs containerd 2
# Node 2 boots this package's kernel; node 1 has no use for it.
_KERNEL = ("linux-image-cloud-amd64",) if platform.machine() == "x86_64" else ()
PACKAGES = (
    "apparmor",
    "busybox-static",
    "ca-certificates",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "dropbear-bin",
    "ethtool",
    "ipset",
    "iproute2",
    "iptables",
    "kmod",
    "mount",
    "nftables",
    "procps",
    "runc",
    "tini",
    "uidmap",
    "util-linux",
    *_KERNEL,
)
_OPTIONS = (
    "--variant=minbase",
    '--aptopt=Acquire::Check-Valid-Until "false"',
    f"--keyring={_KEYRING}",
)


def prepare_host(progress: Progress) -> None:
    """Install the few Debian packages the host itself needs."""
    missing = missing_packages(_HOST_PROGRAMS)
    if not _KEYRING.exists():
        missing.append("debian-archive-keyring")
    install_packages(missing, progress)


def missing_packages(programs: Mapping[str, str]) -> list[str]:
    """The packages of those programs that the host lacks."""
    return [package for program, package in programs.items() if shutil.which(program) is None]


def install_packages(packages: list[str], progress: Progress) -> None:
    """Install Debian packages on the host."""
    if not packages:
        return
    if shutil.which("apt-get") is None:
        message = f"please install {', '.join(packages)}: this host has no apt-get to do it"
        raise ClusterError(message)
    with progress.step(f"Install {' '.join(packages)}"):
        env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        run_long("apt-get", "update", "-q", env=env)
        argv = ["apt-get", "install", "-qy", "--no-install-recommends", *packages]
        run_long(*argv, env=env)


def download_package(package: str, directory: Path) -> Path:
    """Download a Debian package of the host's own release, without installing it."""
    with contextlib.suppress(ClusterError):
        return _download(package, directory)
    run_long("apt-get", "update", "-q")  # a fresh host has no lists yet
    return _download(package, directory)


def _download(package: str, directory: Path) -> Path:
    sandbox = "APT::Sandbox::User=root"  # apt's own user may not write into the directory
    run_long("apt-get", "-o", sandbox, "download", "-q", package, cwd=directory)
    (found,) = directory.glob(f"{package}_*.deb")
    return found


def prepare_node(paths: Paths, progress: Progress) -> Path:
    """The node's root file system, made if its recipe is not cached yet."""
    target = node_root(paths)
    if target.exists():
        return target
    with progress.step("Make the node's root file system"), _half_made(target) as temporary:
        include = f"--include={','.join(PACKAGES)}"
        # Node 2 boots without an initial ram disk; making one would take longer than all else.
        env = os.environ | {"INITRD": "No"}
        run_long("mmdebstrap", *_OPTIONS, include, SUITE, temporary, _mirror(), env=env)
    return target


def node_root(paths: Paths) -> Path:
    """Where the node's root file system is cached."""
    return paths.cache / "rootfs" / f"node-{recipe_key()}"


def recipe_key() -> str:
    """Changes with the suite, the packages and the options."""
    recipe = "\n".join((SUITE, *_OPTIONS, *PACKAGES))
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


@contextlib.contextmanager
def _half_made(target: Path) -> Iterator[Path]:
    """A directory beside the target that becomes it, or is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(".node-*.new"):  # by a run that was killed
        _remove(left)
    # A killed run's mmdebstrap may still write into its own directory, never into this one.
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        yield temporary
        temporary.rename(target)
    finally:
        _remove(temporary)


def _remove(directory: Path) -> None:
    """Remove a tree, but nothing on a file system mounted in it (a /dev left by a kill)."""
    run("rm", "-rf", "--one-file-system", directory)


def _mirror() -> str:
    """The Debian mirror this host itself uses."""
    if (uri := _known_mirror()) is None:
        run_long("apt-get", "update", "-q")  # a fresh host does not know its origins yet
        uri = _known_mirror()
    if uri is None:
        message = "no Debian mirror in the host's apt sources: add one to /etc/apt/sources.list.d"
        raise ClusterError(message)
    return uri


def _known_mirror() -> str | None:
    targets = run("apt-get", "indextargets", "--format", "$(REPO_URI)\t$(ORIGIN)\t$(LABEL)")
    for line in targets.stdout.splitlines():
        uri, origin, label = line.split("\t")
        if (origin, label) == ("Debian", "Debian"):
            return uri
    return None
