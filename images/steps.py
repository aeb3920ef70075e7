"""The layers of each image, bottom first: what each depends on and how it is made.

A layer is made again only when the hash of its inputs changes. The Debian mirror's state is not an
input: `--refresh` asks for newer packages.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from images import debian, layer, wheels
from images.layer import Layer
from images.recipe import DIRECTORY, REPOSITORY, Recipe

_PROJECT_INPUTS = ("pyproject.toml", "LICENSE", "operator")
_COMPILE = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")


@dataclass(frozen=True)
class Step:
    """One layer: its name, the hash of its inputs, and what fills the directory it is made of."""

    name: str
    key: str
    fill: Callable[[Path, list[Layer]], Path]


def steps(recipe: Recipe) -> list[Step]:
    """Return the layers of an image, bottom first."""
    found = [_debian(recipe), _wheels(recipe), _files(recipe)]
    if recipe.project:
        found.append(_project(recipe))
    return found


def extra_ca(certificate: Path) -> Step:
    """Return the layer that adds a CA to the bundle which everything in the images reads."""

    def fill(work: Path, below: list[Layer]) -> Path:
        root = work / "layer"
        bundle = root / wheels.CA_BUNDLE.lstrip("/")
        bundle.parent.mkdir(parents=True)
        member = f".{wheels.CA_BUNDLE}"
        command = ["tar", "--extract", "--to-stdout", f"--file={below[0].path}", member]
        system = subprocess.run(command, check=True, capture_output=True).stdout
        bundle.write_bytes(system + certificate.read_bytes())
        return root

    return Step("ca", _key([certificate.read_bytes(), "ca"]), fill)


def _debian(recipe: Recipe) -> Step:
    packages = recipe.debian.model_dump_json()
    inputs: list[str | bytes] = [packages, recipe.script.read_bytes(), *debian.OPTIONS]
    return Step("debian", _key(inputs), lambda work, _below: debian.make_root(recipe, work))


def _wheels(recipe: Recipe) -> Step:
    lock = recipe.directory / recipe.python.lock

    def fill(work: Path, below: list[Layer]) -> Path:
        root = work / "layer"
        wheels.install_lock(lock, root, recipe.python.target)
        _compile(root, recipe.python.target, work, below)
        return root

    return Step("wheels", _key([lock.read_bytes(), recipe.python.target, _code("wheels.py")]), fill)


def _files(recipe: Recipe) -> Step:
    sources = [recipe.directory / file.source for file in recipe.files.values()]

    def fill(work: Path, _below: list[Layer]) -> Path:
        root = work / "layer"
        for path, file in recipe.files.items():
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(recipe.directory / file.source, target)
            target.chmod(int(file.mode, 8))
        for path, destination in recipe.links.items():
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(destination)
        return root

    description = recipe.model_dump_json(include={"files", "links"})
    return Step("files", _key([description, *(path.read_bytes() for path in sources)]), fill)


def _project(recipe: Recipe) -> Step:
    def fill(work: Path, below: list[Layer]) -> Path:
        root = work / "layer"
        wheel = _build_wheel(work)
        wheels.install_wheel(wheel, root, recipe.python.target)
        _compile(root, recipe.python.target, work, below)
        return root

    inputs = [
        item for path in _project_files() for item in (str(path), (REPOSITORY / path).read_bytes())
    ]
    return Step("project", _key([*inputs, _code("wheels.py")]), fill)


def _project_files() -> Iterator[Path]:
    for name in _PROJECT_INPUTS:
        path = REPOSITORY / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (
            file.relative_to(REPOSITORY)
            for file in files
            if file.is_file() and "__pycache__" not in file.parts and ".egg-info" not in str(file)
        )


def _build_wheel(work: Path) -> Path:
    """Build the project's wheel from a copy: the checkout stays clean, the README is no input."""
    source = work / "source"
    for path in _project_files():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / path, source / path)
    (source / "README.md").touch()
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={work}"]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(layer.EPOCH)}
    subprocess.run([*command, str(source)], check=True, env=environment)
    return next(work.glob("*.whl"))


def _compile(root: Path, target: str, work: Path, below: list[Layer]) -> None:
    """Write bytecode with the image's own Python, so that nothing is compiled at start."""
    if not (root / target.lstrip("/")).is_dir():
        return
    system = work / "system"
    system.mkdir()
    layer.extract(below[0], system)
    inside = system / ".layer"
    root.rename(inside)
    command = ["chroot", str(system), wheels.PYTHON, *_COMPILE, "-s", "/.layer", "-p", "/"]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONHASHSEED": "0"}
    subprocess.run([*command, f"/.layer{target}"], check=True, env=environment)
    inside.rename(root)


def _code(name: str) -> bytes:
    return (DIRECTORY / name).read_bytes()


def _key(inputs: Iterable[str | bytes]) -> str:
    digest = hashlib.sha256(platform.machine().encode())
    for item in inputs:
        data = item.encode() if isinstance(item, str) else item
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
