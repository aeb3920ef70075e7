"""The cluster's own little images (pause, CoreDNS, a busybox), and which ones node 1 was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster import config, oci

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cluster.config import Paths
    from cluster.progress import Progress

_APPLETS = """
    cat chmod cp cut date dd df echo env false find grep head hostname httpd id kill ls mkdir mknod
    mv nc nslookup ping printf ps rm sed seq sh sleep stat tail tee test timeout top touch tr true
    uname vi wc wget which xargs
"""


def build_all(paths: Paths, rootfs: Path, progress: Progress) -> dict[str, Path]:
    """Build what is missing; returns each image's archive by image name."""
    return {
        config.PAUSE_IMAGE: _build(paths.bin / "pause", paths, "pause", _pause, progress),
        config.COREDNS_IMAGE: _build(paths.bin / "coredns", paths, "coredns", _coredns, progress),
        config.BUSYBOX_IMAGE: _build(
            rootfs / "usr" / "bin" / "busybox", paths, "busybox", _busybox, progress
        ),
    }


def loaded(paths: Paths) -> list[Path]:
    """The archives that were loaded into node 1."""
    return sorted(paths.loaded.glob("*.tar"))


def remember(paths: Paths, archive: Path) -> None:
    """Note that an archive was loaded into node 1: node 2 will have the same image."""
    paths.loaded.mkdir(exist_ok=True)
    kept = paths.loaded / archive.name
    kept.unlink(missing_ok=True)
    try:
        kept.hardlink_to(archive)  # stays what it was when another build replaces the archive
    except OSError:  # the cache is on another file system
        kept.symlink_to(archive.resolve())


def _build(
    source: Path,
    paths: Paths,
    name: str,
    image: Callable[[bytes], oci.Image],
    progress: Progress,
) -> Path:
    """An image of one program, built again only when the program is newer."""
    target = paths.images / f"cluster-{name}.tar"
    if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
        return target
    with progress.step(f"Build image {name}"):
        oci.write(image(source.read_bytes()), target)
    return target


def _pause(program: bytes) -> oci.Image:
    return oci.Image(
        config.PAUSE_IMAGE, {"pause": program}, {}, entrypoint=("/pause",), user="65535:65535"
    )


def _coredns(program: bytes) -> oci.Image:
    return oci.Image(config.COREDNS_IMAGE, {"coredns": program}, {}, entrypoint=("/coredns",))


def _busybox(program: bytes) -> oci.Image:
    files = {
        "bin/busybox": program,
        "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
        "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
    }
    links = {f"bin/{applet}": "busybox" for applet in _APPLETS.split()}
    return oci.Image(config.BUSYBOX_IMAGE, files, links, command=("sleep", "infinity"))
