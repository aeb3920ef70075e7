"""Settings come from the environment and say which variable is wrong."""

from pathlib import Path

import pytest

from ringfence.profiles.apparmor import profile_name
from ringfence.profiles.seccomp import localhost_profile
from ringfence.settings import Settings

IMAGES = {"RINGFENCE_PROXY_IMAGE": "proxy:1", "RINGFENCE_OPERATOR_IMAGE": "operator:1"}
MINIMAL = {**IMAGES, "RINGFENCE_RESOLVER": "10.0.0.10"}


def test_minimal_environment_is_enough(tmp_path: Path) -> None:
    settings = Settings.from_environment(MINIMAL, tmp_path / "none")
    assert (settings.proxy_image, settings.resolver) == ("proxy:1", "10.0.0.10")


def test_resolver_falls_back_to_the_pods_own(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("search x\nnameserver fd00::10\nnameserver 10.96.0.10\n")
    settings = Settings.from_environment(IMAGES, conf)
    assert settings.resolver == "10.96.0.10"


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({}, "RINGFENCE_PROXY_IMAGE is not set"),
        ({"RINGFENCE_PROXY_IMAGE": "proxy:1"}, "RINGFENCE_OPERATOR_IMAGE is not set"),
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
        Settings.from_environment(IMAGES, conf)


def test_profiles_are_our_own_unless_the_environment_names_others(tmp_path: Path) -> None:
    settings = Settings.from_environment(MINIMAL, tmp_path / "none")
    assert settings == Settings(
        proxy_image="proxy:1", operator_image="operator:1", resolver="10.0.0.10"
    )
    assert settings.seccomp_profile == localhost_profile()
    assert settings.app_armor_profile == profile_name()


def test_profiles_of_another_provider_replace_ours(tmp_path: Path) -> None:
    given = {
        **MINIMAL,
        "RINGFENCE_PROFILES_PROVIDER": "Preinstalled",
        "RINGFENCE_SECCOMP_PROFILE": "agents/strict.json",
        "RINGFENCE_APP_ARMOR_PROFILE": "agents",
    }
    settings = Settings.from_environment(given, tmp_path / "none")
    assert settings.profiles_provider == "Preinstalled"
    assert settings.seccomp_profile == "agents/strict.json"
    assert settings.app_armor_profile == "agents"


def test_unknown_provider_stops_the_operator(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown provider 'Mine'"):
        Settings.from_environment({**MINIMAL, "RINGFENCE_PROFILES_PROVIDER": "Mine"}, tmp_path)
