"""Fill the cache of wheels that the stand-in package index serves, through pip on the host.

This is the one part of the tests that uses a real package registry, and only by pip itself, with
whatever index the machine is configured for. It must not run inside a test's namespace.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cluster.progress import Progress
from egress.daemon import WHEELS

PYTHON = "3.11"


def _stamp(requirements: Sequence[str], directory: Path) -> Path:
    text = "\n".join([PYTHON, *sorted(requirements)])
    return directory / f".complete-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _complete(stamp: Path) -> bool:
    if not stamp.exists():
        return False
    return all((stamp.parent / name).exists() for name in json.loads(stamp.read_text()))


def _pip_download(requirements: Sequence[str], directory: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary", ":all:", "--python-version", PYTHON, "--dest", str(directory)]
    result = subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)
    if result.returncode:
        message = f"cannot download wheels for {', '.join(requirements)}: {result.stderr[-2000:]}"
        raise RuntimeError(message)


def download_wheels(requirements: Sequence[str], *, directory: Path = WHEELS) -> Path:
    """Make sure that these requirements and all they depend on are in the directory.

    Wheels appear by rename and a stamp is written last, so an interrupted download leaves nothing
    half-done; the same requirements are not downloaded twice.

    Args:
        requirements: as pip takes them, such as `seaborn==0.13.2`.
        directory: the directory that the index serves.

    Returns:
        The directory.
    """
    stamp = _stamp(requirements, directory)
    if _complete(stamp):
        return directory
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".download-") as temporary:
        with Progress().step(f"wheels: {', '.join(requirements)}"):
            _pip_download(requirements, Path(temporary))
        names = sorted(file.name for file in Path(temporary).iterdir())
        for name in names:
            (Path(temporary) / name).replace(directory / name)
    fresh = stamp.with_suffix(".new")
    fresh.write_text(json.dumps(names))
    fresh.replace(stamp)
    return directory
