"""Pins what the requirements files ask for: every wheel of every architecture, by hash.

`python -m images.build lock` rewrites the locks; building only ever reads them. A lock names no
index: where packages come from is the business of whoever builds.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from images import recipe, wheels

MACHINES = ("x86_64", "aarch64")
_HEADER = "# Written by `python -m images.build lock` from {source}; do not edit.\n"


def text(wanted: recipe.Recipe) -> str:
    """Resolve an image's requirements for all architectures and return its lock."""
    hashes: dict[str, set[str]] = {}
    for machine in MACHINES:
        for entry in _resolve(requirements(wanted), machine):
            metadata = entry["metadata"]
            pin = f"{metadata['name'].lower().replace('_', '-')}=={metadata['version']}"
            digest = entry["download_info"]["archive_info"]["hashes"]["sha256"]
            hashes.setdefault(pin, set()).add(digest)
    lines = [_line(pin, found) for pin, found in sorted(hashes.items())]
    return _HEADER.format(source=Path(wanted.python.requirements).name) + "".join(lines)


def requirements(wanted: recipe.Recipe) -> list[str]:
    """Return what an image asks for: the lines of its file, or the project's dependencies."""
    path = wanted.directory / wanted.python.requirements
    if path.suffix == ".toml":
        project = tomllib.loads(path.read_text())["project"]
        optional = [project["optional-dependencies"][extra] for extra in wanted.python.extras]
        return [*project["dependencies"], *(line for extra in optional for line in extra)]
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def _line(pin: str, hashes: set[str]) -> str:
    return " \\\n    ".join([pin, *(f"--hash=sha256:{digest}" for digest in sorted(hashes))]) + "\n"


def _resolve(wanted: list[str], machine: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="ringfence-lock-") as directory:
        report = Path(directory) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet"]
        options = [f"--report={report}", f"--target={directory}/none", "--ignore-installed"]
        platform = wheels.platform_options(machine)
        subprocess.run([*command, *options, *platform, *wanted], check=True)
        found: list[dict[str, Any]] = json.loads(report.read_text())["install"]
        return found
