"""Which profiles Pods name under each provider, and what is refused before any Pod names it."""

from __future__ import annotations

import json

import pytest

from ringfence.profiles import apparmor, seccomp, spo
from ringfence.profiles.provider import (
    Provider,
    ProviderError,
    node_agent_installs,
    profile_names,
    seccomp_fault,
)
from ringfence.profiles.seccomp import Arch


def test_built_in_profiles_are_our_own() -> None:
    expected = (seccomp.localhost_profile(), apparmor.profile_name())
    assert profile_names("Builtin") == expected


def test_security_profiles_operators_are_where_it_puts_them() -> None:
    expected = (spo.localhost_profile(), spo.app_armor_name())
    assert profile_names("SecurityProfilesOperator") == expected


def test_preinstalled_ones_are_named_by_the_administrator() -> None:
    assert profile_names("Preinstalled", "agents/strict.json", "agents") == (
        "agents/strict.json",
        "agents",
    )


def test_only_our_own_profiles_are_written_by_the_node_agent() -> None:
    assert [p for p in Provider if node_agent_installs(p)] == [Provider.BUILTIN]


@pytest.mark.parametrize("provider", ["", "builtin", "Operator"])
def test_unknown_provider_is_refused(provider: str) -> None:
    with pytest.raises(ProviderError, match="Builtin, SecurityProfilesOperator, Preinstalled"):
        profile_names(provider)


@pytest.mark.parametrize("provider", ["Builtin", "SecurityProfilesOperator"])
@pytest.mark.parametrize("names", [("x.json", ""), ("", "x")])
def test_name_beside_a_provider_that_has_its_own_is_refused(
    provider: str, names: tuple[str, str]
) -> None:
    with pytest.raises(ProviderError, match="Preinstalled"):
        profile_names(provider, *names)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x.json",
        "a/../x.json",
        "a//x.json",
        ".x.json",
        "a/.json",
        "a/x-.json",
        f"{'x' * 64}.json",
        "x.json\n",
        "a b.json",
    ],
)
def test_file_outside_the_directory_or_unfit_for_a_label_is_refused(path: str) -> None:
    with pytest.raises(ProviderError, match="below the kubelet's seccomp directory"):
        profile_names("Preinstalled", path, "agents")


@pytest.mark.parametrize("name", ["", "a b", "a\n", "a/b", "unconfined{", "x" * 64])
def test_unfit_app_armor_name_is_refused(name: str) -> None:
    with pytest.raises(ProviderError, match="AppArmor"):
        profile_names("Preinstalled", "x.json", name)


def test_our_own_and_a_simple_foreign_file_have_no_fault() -> None:
    assert seccomp_fault(seccomp.render(Arch.X86_64)) is None
    foreign = {"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"names": ["read"]}]}
    assert seccomp_fault(json.dumps(foreign).encode()) is None
    assert seccomp_fault(json.dumps(spo.seccomp_profile()["spec"]).encode()) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "not a seccomp profile"),
        (b"{}", "not a seccomp profile"),
        (b'{"defaultAction": "SCMP_ACT_ALLOW"}', "allows every call"),
        (b'{"defaultAction": "SCMP_ACT_LOG"}', "allows every call"),
        (b'{"defaultAction": "SCMP_ACT_ERRNO", "archMap": []}', "archMap"),
    ],
)
def test_file_that_would_protect_less_than_it_says_has_a_fault(content: bytes, said: str) -> None:
    assert said in str(seccomp_fault(content))


def test_pasted_docker_profile_has_a_fault() -> None:
    """In Docker's format this allows mount to CAP_SYS_ADMIN; a runtime would allow it to all."""
    document = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {
                "names": ["mount"],
                "action": "SCMP_ACT_ALLOW",
                "includes": {"caps": ["CAP_SYS_ADMIN"]},
            }
        ],
    }
    assert "includes" in str(seccomp_fault(json.dumps(document).encode()))
