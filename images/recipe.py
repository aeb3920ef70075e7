"""Reads image.yaml: what an image consists of, as one strict model.

The Containerfiles and the build without a container engine both start here; neither may add to it.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

DIRECTORY = Path(__file__).resolve().parent
REPOSITORY = DIRECTORY.parent
NAMES = ("sandbox", "proxy", "operator")
SUITE = "bookworm"
REGISTRY = "ringfence.dev"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Debian(_Strict):
    """Which Debian packages, and whether as a full system or as bare files."""

    install: Literal["full", "minimal"]
    packages: tuple[str, ...]


class Python(_Strict):
    """The wheels: what is asked for, what exactly is installed, and where."""

    requirements: str
    extras: tuple[str, ...] = ()
    lock: str
    target: str


class File(_Strict):
    """A file beside image.yaml and its mode in the image."""

    source: str
    mode: str = Field(pattern="^0[0-7]{3}$")


class Recipe(_Strict):
    """One image.yaml."""

    name: str
    title: str
    description: str
    debian: Debian
    python: Python
    project: bool = False
    links: dict[str, str] = {}
    files: dict[str, File] = {}
    user: str
    workdir: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    env: dict[str, str]

    @property
    def directory(self) -> Path:
        """Where the image's own files are."""
        return DIRECTORY / self.name

    @property
    def script(self) -> Path:
        """The shell script that finishes the Debian part, shared with the Containerfile."""
        return DIRECTORY / f"{self.debian.install}.sh"

    @property
    def labels(self) -> dict[str, str]:
        """The OCI labels."""
        prefix = "org.opencontainers.image"
        return {
            f"{prefix}.title": self.title,
            f"{prefix}.description": self.description,
            f"{prefix}.licenses": "Apache-2.0",
            f"{prefix}.version": version(),
        }


def load(name: str) -> Recipe:
    """Read images/<name>/image.yaml."""
    text = (DIRECTORY / name / "image.yaml").read_text()
    return Recipe.model_validate({"name": name, **yaml.safe_load(text)})


@cache
def version() -> str:
    """Return the project's version, which tags the images."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def reference(name: str, suffix: str = "") -> str:
    """Return the full name of an image."""
    return f"{REGISTRY}/{name}:{version()}{suffix}"
