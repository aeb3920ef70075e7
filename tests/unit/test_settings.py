"""Settings come from the environment and say which variable is wrong."""

from pathlib import Path

import pytest

from ringfence.settings import Settings

MINIMAL = {"RINGFENCE_PROXY_IMAGE": "proxy:1", "RINGFENCE_RESOLVER": "10.0.0.10"}


def test_minimal_environment_is_enough(tmp_path: Path) -> None:
    settings = Settings.from_environment(MINIMAL, tmp_path / "none")
    assert (settings.proxy_image, settings.resolver) == ("proxy:1", "10.0.0.10")


def test_resolver_falls_back_to_the_pods_own(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("search x\nnameserver fd00::10\nnameserver 10.96.0.10\n")
    settings = Settings.from_environment({"RINGFENCE_PROXY_IMAGE": "proxy:1"}, conf)
    assert settings.resolver == "10.96.0.10"


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({}, "RINGFENCE_PROXY_IMAGE is not set"),
        ({**MINIMAL, "RINGFENCE_WORKERS": "many"}, "RINGFENCE_WORKERS='many'"),
    ],
)
def test_wrong_environment_names_the_variable(
    environment: dict[str, str], text: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=text):
        Settings.from_environment(environment, tmp_path / "none")


def test_without_any_resolver_it_says_what_to_set(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("")
    with pytest.raises(ValueError, match="set RINGFENCE_RESOLVER"):
        Settings.from_environment({"RINGFENCE_PROXY_IMAGE": "proxy:1"}, conf)
