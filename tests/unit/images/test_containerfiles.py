"""The Containerfiles say what image.yaml says; read here by a parser of their own."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from images import containerfile, recipe


def _instructions(name: str) -> list[tuple[str, str]]:
    """Every instruction of a Containerfile with its continued lines joined."""
    text = (recipe.DIRECTORY / name / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, " ".join(rest.split())) for word, _, rest in (x.partition(" ") for x in lines)]


def _values(name: str, instruction: str) -> list[str]:
    return [rest for word, rest in _instructions(name) if word == instruction]


def _assignments(name: str, instruction: str) -> dict[str, str]:
    pairs = (value.split("=", 1) for value in _values(name, instruction))
    return {key: json.loads(value) for key, value in pairs}


def _packages(name: str) -> Iterator[tuple[str, ...]]:
    for command in _values(name, "RUN"):
        for pattern in (r"--no-install-recommends ([^&]*)", r"/image (.*)"):
            found = re.search(pattern, command)
            if found:
                yield tuple(found[1].split())


@pytest.mark.parametrize("name", recipe.NAMES)
def test_a_containerfile_is_what_the_generator_writes(name: str) -> None:
    committed = (recipe.DIRECTORY / name / "Containerfile").read_text()

    assert committed == containerfile.text(recipe.load(name))


@pytest.mark.parametrize("name", recipe.NAMES)
def test_a_containerfile_installs_exactly_the_listed_packages(name: str) -> None:
    assert list(_packages(name)) == [("python3-pip",), recipe.load(name).debian.packages]


@pytest.mark.parametrize("name", recipe.NAMES)
def test_a_containerfile_sets_what_the_archive_sets(name: str) -> None:
    wanted = recipe.load(name)

    assert _values(name, "USER") == [wanted.user]
    assert _values(name, "WORKDIR") == [wanted.workdir]
    assert json.loads(_values(name, "ENTRYPOINT")[0]) == list(wanted.entrypoint)
    assert json.loads(_values(name, "CMD")[0]) == list(wanted.command)
    assert _assignments(name, "ENV") == wanted.env
    assert _assignments(name, "LABEL") == wanted.labels


@pytest.mark.parametrize("name", recipe.NAMES)
def test_a_containerfile_copies_files_that_exist(name: str) -> None:
    for value in _values(name, "COPY"):
        *sources, _target = value.split()
        for source in sources:
            assert (
                source.startswith("--")
                or (recipe.REPOSITORY / source).exists()
                or ("--from" in value)
            ), source


@pytest.mark.parametrize("name", recipe.NAMES)
def test_a_base_image_can_be_pinned_and_names_no_registry(name: str) -> None:
    assert _values(name, "ARG") == [f"BASE=debian:{recipe.SUITE}-slim"]
    for base in _values(name, "FROM"):
        assert base.split()[0] in {"${BASE}", "pip", "scratch"}


@pytest.mark.parametrize("name", recipe.NAMES)
def test_no_image_runs_as_root(name: str) -> None:
    user, group = recipe.load(name).user.split(":")

    assert int(user) > 0
    assert int(group) > 0


def test_every_directory_with_a_recipe_is_built() -> None:
    found = sorted(path.parent.name for path in recipe.DIRECTORY.glob("*/image.yaml"))

    assert found == sorted(recipe.NAMES)
    assert all(isinstance(path, Path) for path in recipe.DIRECTORY.glob("*/Containerfile"))
