"""Command line of the images: build them without a container engine, lock, write Containerfiles.

Run as `python -m images.build build all` from the repository's root. Archives appear in
~/.cache/ringfence/images; nothing else on the machine is changed.
"""

import fcntl
import hashlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from images import archive, containerfile, layer, lock, recipe, steps
from images.debian import BuildError
from images.layer import Layer
from images.steps import Step

CACHE = Path.home() / ".cache" / "ringfence" / "images"
_KEPT_LAYERS = 3  # per image and layer: branches switch back and forth

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
_console = Console(stderr=True, highlight=False)


def build(
    name: str, *, certificate: Path | None = None, refresh: bool = False, cache: Path = CACHE
) -> Path:
    """Build an image if it is not there yet and return its archive.

    With a certificate the image additionally trusts that CA; it is then named `...-e2e`.
    """
    wanted = recipe.load(name)
    plan = steps.steps(wanted) + ([steps.extra_ca(certificate)] if certificate else [])
    suffix = "-e2e" if certificate else ""
    target = cache / f"{name}{suffix}.tar"
    (cache / "layers").mkdir(parents=True, exist_ok=True)
    with _locked(cache / f".{name}.lock"):
        key = _image_key(wanted, plan)
        if refresh or not _is_current(target, key):
            layers = _layers(name, plan, cache / "layers", refresh=refresh)
            with _step(f"{target.name}: write"):
                archive.write(wanted, recipe.reference(name, suffix), layers, target)
            _stamp(target).write_text(key)
    return target


def _layers(name: str, plan: list[Step], directory: Path, *, refresh: bool) -> list[Layer]:
    layers: list[Layer] = []
    for step in plan:
        target = directory / f"{name}-{step.name}-{step.key[:12]}.tar"
        found = None if refresh and step.name == "debian" else layer.cached(target)
        layers.append(found or _make(name, step, target, layers))
        target.touch()  # the most recently used ones are kept
        _prune(directory, f"{name}-{step.name}-")
    return layers


def _make(name: str, step: Step, target: Path, below: list[Layer]) -> Layer:
    with _step(f"{name}: {step.name} layer"), _workspace(target.parent) as work:
        return layer.write(step.fill(work, below), target)


def _prune(directory: Path, prefix: str) -> None:
    found = sorted(directory.glob(f"{prefix}*.tar"), key=lambda path: path.stat().st_mtime)
    for path in found[:-_KEPT_LAYERS]:
        layer.remove(path)


def _image_key(wanted: recipe.Recipe, plan: list[Step]) -> str:
    inputs = [wanted.model_dump_json(), recipe.version(), *(step.key for step in plan)]
    return hashlib.sha256("\n".join(inputs).encode()).hexdigest()


def _is_current(target: Path, key: str) -> bool:
    stamp = _stamp(target)
    return target.exists() and stamp.exists() and stamp.read_text() == key


def _stamp(target: Path) -> Path:
    return target.with_name(f".{target.name}.key")


@contextmanager
def _workspace(directory: Path) -> Iterator[Path]:
    """Yield a directory that is gone afterwards, also after Ctrl-C."""
    work = Path(tempfile.mkdtemp(dir=directory, prefix=".work-"))
    try:
        yield work
    finally:
        # Never into a file system that a killed mmdebstrap left mounted.
        subprocess.run(["rm", "-rf", "--one-file-system", str(work)], check=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with _step(f"{path.name.split('.')[1]}: wait for another build"):
                fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def _step(title: str) -> Iterator[None]:
    begin = time.monotonic()
    if not _console.is_terminal:
        _console.print(f"… {title}")
    with _console.status(title):
        yield
    _console.print(f"[green]✓[/] {title} [dim]{time.monotonic() - begin:.1f} s[/]")


_Name = Annotated[str, typer.Argument(help="sandbox, proxy, operator or all")]
_Check = Annotated[bool, typer.Option(help="Change nothing; fail if a file is not up to date.")]


@app.command("build")
def _build_command(
    name: _Name,
    extra_ca: Annotated[
        Path | None, typer.Option(exists=True, help="Trust this CA too; builds the -e2e variant.")
    ] = None,
    *,
    refresh: Annotated[bool, typer.Option(help="Fetch Debian's packages again.")] = False,
) -> None:
    """Build images into OCI archives, without a container engine."""
    for wanted in _names(name):
        typer.echo(build(wanted, certificate=extra_ca, refresh=refresh))


@app.command("containerfiles")
def _containerfiles_command(*, check: _Check = False) -> None:
    """Write the Containerfiles from the image.yaml files."""
    for name in recipe.NAMES:
        wanted = recipe.load(name)
        _write(wanted.directory / "Containerfile", containerfile.text(wanted), check=check)


@app.command("lock")
def _lock_command(name: _Name = "all") -> None:
    """Pin the Python packages of the images again, to the newest allowed versions."""
    for item in _names(name):
        wanted = recipe.load(item)
        with _step(f"{item}: resolve"):
            text = lock.text(wanted)
        _write(wanted.directory / wanted.python.lock, text, check=False)


def _names(name: str) -> tuple[str, ...]:
    if name == "all":
        return recipe.NAMES
    if name not in recipe.NAMES:
        message = f"no image {name!r}: choose {', '.join(recipe.NAMES)} or all"
        raise typer.BadParameter(message)
    return (name,)


def _write(path: Path, text: str, *, check: bool) -> None:
    shown = path.relative_to(recipe.REPOSITORY)
    if path.exists() and path.read_text() == text:
        return
    if check:
        message = f"{shown} is out of date: run `python -m images.build {path.name.lower()}s`"
        raise BuildError(message)
    path.write_text(text)
    typer.echo(f"wrote {shown}")


def main() -> None:
    """Run the command line; failures are one readable message."""
    try:
        app()
    except (BuildError, subprocess.CalledProcessError) as error:
        _console.print(f"[red]error:[/] {error}")
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
