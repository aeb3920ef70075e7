"""The AppArmor profile of a Pod cannot be replaced: not before, at, or after its creation.

The API server copies the old annotation of a container into its field where that is empty, and so
over the profile of the whole Pod (kubernetes pkg/registry/core/pod/strategy.go). Here the field of
every container is set, and what came through all the same is found.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from ringfence.drift import pod_alterations
from ringfence.nodes import Profiles
from ringfence.policy import with_app_armor
from ringfence.resources.hardening import APPARMOR_ANNOTATION, harden
from ringfence.resources.pod import pod
from samples import SETTINGS, accepted

if TYPE_CHECKING:
    from ringfence.api import Json

UID = 31234
PROFILE = SETTINGS.app_armor_profile


def _pod(app_armor: str | None) -> Json:
    wanted = accepted()
    return pod(with_app_armor(wanted, app_armor) if app_armor else wanted, SETTINGS, UID)


def _containers(body: Json) -> dict[str, Json]:
    spec = body["spec"]
    return {c["name"]: c["securityContext"] for c in (*spec["initContainers"], *spec["containers"])}


def _annotated(body: Json) -> dict[str, str]:
    annotations = body["metadata"]["annotations"]
    return {
        key.removeprefix(APPARMOR_ANNOTATION): value
        for key, value in annotations.items()
        if key.startswith(APPARMOR_ANNOTATION)
    }


def test_every_container_has_the_field_and_the_equal_annotation() -> None:
    built = _pod(PROFILE)
    fields = {name: context["appArmorProfile"] for name, context in _containers(built).items()}
    assert fields == {
        "agent": {"type": "Localhost", "localhostProfile": PROFILE},
        "egress-proxy": {"type": "RuntimeDefault"},
        "guard": {"type": "RuntimeDefault"},
    }
    assert _annotated(built) == {
        "agent": f"localhost/{PROFILE}",
        "egress-proxy": "runtime/default",
        "guard": "runtime/default",
    }


@pytest.mark.parametrize("app_armor", [None, PROFILE])
def test_profile_never_stands_on_the_pod_as_a_whole(app_armor: str | None) -> None:
    assert "appArmorProfile" not in _pod(app_armor)["spec"]["securityContext"]


@pytest.mark.parametrize("app_armor", [None, PROFILE])
def test_annotation_that_was_built_before_does_not_survive_hardening(
    app_armor: str | None,
) -> None:
    built = _pod(app_armor)
    expected = _annotated(built)
    for container in ("agent", "egress-proxy", "other"):
        built["metadata"]["annotations"][APPARMOR_ANNOTATION + container] = "unconfined"
    built["spec"]["securityContext"]["appArmorProfile"] = {"type": "Unconfined"}
    profiles = Profiles(SETTINGS.seccomp_profile, app_armor)
    hardened = harden(built, accepted().rules, profiles, UID)
    assert _annotated(hardened) == expected
    assert "appArmorProfile" not in hardened["spec"]["securityContext"]


def _annotate(body: Json, value: str) -> None:
    body["metadata"]["annotations"][f"{APPARMOR_ANNOTATION}agent"] = value


def _set_field(body: Json, value: Any) -> None:
    body["spec"]["containers"][0]["securityContext"]["appArmorProfile"] = value


def _set_pod_field(body: Json, value: Any) -> None:
    body["spec"]["securityContext"]["appArmorProfile"] = value


@pytest.mark.parametrize("app_armor", [None, PROFILE])
@pytest.mark.parametrize(
    ("alter", "value"),
    [
        (_annotate, "unconfined"),
        (_annotate, "localhost/other"),
        (_set_field, {"type": "Unconfined"}),
        (_set_field, {"type": "Localhost", "localhostProfile": "other"}),
        (_set_pod_field, {"type": "Unconfined"}),
    ],
)
def test_pod_that_came_back_with_another_profile_is_altered(
    app_armor: str | None, alter: Any, value: Any
) -> None:
    built = _pod(app_armor)
    seen = copy.deepcopy(built)
    alter(seen, value)
    assert pod_alterations(built, seen) != []
