"""What `profiles.provider` changes in the rendered chart: whose profiles, under which names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from helm import render

from ringfence.profiles import spo
from ringfence.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from rendered import Render, Rendered

Json = dict[str, Any]
SPO = {"profiles": {"provider": "SecurityProfilesOperator"}}
OWN = {
    "profiles": {
        "provider": "Preinstalled",
        "seccompProfile": "agents/strict.json",
        "appArmorProfile": "agents",
    }
}


def _settings(rendered: Rendered, tmp_path: Path) -> Settings:
    """What the operator understands of the rendered Deployment."""
    spec = rendered.one("Deployment", "ringfence-operator")["spec"]["template"]["spec"]
    environment = {e["name"]: e["value"] for e in spec["containers"][0]["env"]}
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 10.96.0.10\n")
    return Settings.from_environment(environment, resolv_conf)


def test_default_brings_no_object_of_another_operator(chart: Rendered) -> None:
    assert not chart.of_kind("SeccompProfile")
    assert not chart.of_kind("AppArmorProfile")


def test_security_profiles_operator_gets_the_objects_that_pods_name(
    render_with: Render, tmp_path: Path
) -> None:
    rendered = render_with(SPO)
    settings = _settings(rendered, tmp_path)
    (seccomp,) = rendered.of_kind("SeccompProfile")
    (app_armor,) = rendered.of_kind("AppArmorProfile")
    assert settings.seccomp_profile == f"operator/{seccomp['metadata']['name']}.json"
    assert settings.app_armor_profile == app_armor["metadata"]["name"]


@pytest.mark.parametrize("body", [spo.seccomp_profile(), spo.app_armor_profile()])
def test_object_is_the_generated_one_number_for_number(render_with: Render, body: Json) -> None:
    (found,) = render_with(SPO).of_kind(body["kind"])
    labels = found["metadata"].pop("labels")
    # As text: to Python a floating point number equals the whole one that the API server wants.
    assert json.dumps(found, sort_keys=True) == json.dumps(body, sort_keys=True)
    assert labels["app.kubernetes.io/component"] == "profiles"


def test_preinstalled_profiles_are_the_administrators(render_with: Render, tmp_path: Path) -> None:
    settings = _settings(render_with(OWN), tmp_path)
    assert (settings.seccomp_profile, settings.app_armor_profile) == (
        "agents/strict.json",
        "agents",
    )
    assert not render_with(OWN).of_kind("SeccompProfile")


@pytest.mark.parametrize(
    "profiles",
    [
        {"provider": "Preinstalled"},
        {"provider": "Preinstalled", "seccompProfile": "x.json"},
        {"provider": "Preinstalled", "appArmorProfile": "x"},
    ],
)
def test_preinstalled_without_names_is_refused(render_with: Render, profiles: Json) -> None:
    with pytest.raises(render.RenderError, match=r"needs profiles\.seccompProfile"):
        render_with({"profiles": profiles})


@pytest.mark.parametrize("profiles", [{"seccompProfile": "x.json"}, {"appArmorProfile": "x"}])
def test_names_without_preinstalled_are_refused(render_with: Render, profiles: Json) -> None:
    with pytest.raises(render.RenderError, match=r"need profiles\.provider: Preinstalled"):
        render_with({"profiles": profiles})
