"""The profiles as objects of the Security Profiles Operator: what they still promise there."""

from __future__ import annotations

import re
import socket

import pytest

from profiles import dfa, seed, spo_text
from profiles.bpf import ALLOW, compiled, number, product_filter
from profiles.dfa import EXEC, LINK, MAP, READ, WRITE
from profiles.test_apparmor_decisions import FULL, MORE, READ_ONLY, SEED
from ringfence.profiles import spo
from ringfence.profiles.seccomp import Arch

SECCOMP = spo.seccomp_profile()
APP_ARMOR = spo.app_armor_profile()
FILESYSTEM = APP_ARMOR["spec"]["abstract"]["filesystem"]
EXECUTABLE = APP_ARMOR["spec"]["abstract"]["executable"]
PATH = re.compile(r"/([a-zA-Z0-9_./*?+@ -]|@\{[a-zA-Z0-9_]+\})*")
"""What that operator accepts as a path."""


@pytest.fixture(name="policy", scope="module")
def _policy() -> dfa.Policy:
    return dfa.compiled(spo_text.text(APP_ARMOR), FULL)


@pytest.mark.parametrize("body", [SECCOMP, APP_ARMOR], ids=lambda body: str(body["kind"]))
def test_object_is_of_the_first_stable_api_and_cluster_wide(body: spo.Json) -> None:
    assert body["apiVersion"] == "security-profiles-operator.x-k8s.io/v1"
    assert set(body["metadata"]) == {"name"}
    assert re.fullmatch(r"sandbox-agent-[0-9a-f]{8}", body["metadata"]["name"])


def test_pods_name_the_file_that_it_writes_and_the_profile_that_it_loads() -> None:
    assert spo.localhost_profile() == f"operator/{SECCOMP['metadata']['name']}.json"
    assert spo.app_armor_name() == APP_ARMOR["metadata"]["name"]


def test_changed_content_gives_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spo, "DENIED", spo.DENIED[1:])
    assert spo.app_armor_profile.__wrapped__()["metadata"] != APP_ARMOR["metadata"]


def test_seccomp_profile_has_only_fields_of_the_kind() -> None:
    spec = SECCOMP["spec"]
    assert set(spec) == {"defaultAction", "architectures", "flags", "syscalls"}
    assert spec["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]
    assert spec["flags"] == ["SECCOMP_FILTER_FLAG_LOG"]
    numbers = [v for rule in spec["syscalls"] for a in rule.get("args", []) for v in a.values()]
    assert all(value < 2**63 for value in numbers if isinstance(value, int))


@pytest.mark.parametrize("arch", Arch)
def test_seccomp_decides_as_our_own_file_on_either_architecture(arch: Arch) -> None:
    ours, theirs = product_filter(arch), compiled(SECCOMP["spec"], arch)
    for call in range(600):
        assert theirs.decide(call) == ours.decide(call), call
    for name, arguments in seed.BLOCKED.items():
        if number(name, arch) is not None:
            assert theirs.decide(name, *arguments) == ours.decide(name, *arguments) != ALLOW
    assert theirs.decide_i386(102) == ours.decide_i386(102)


def test_every_path_is_one_that_the_kind_accepts_and_stands_once_in_its_list() -> None:
    for paths in (*FILESYSTEM.values(), *EXECUTABLE.values()):
        assert [path for path in paths if not PATH.fullmatch(path)] == []
        assert len(paths) == len(set(paths))


@pytest.mark.parametrize("path", SEED + MORE)
def test_secret_or_foreign_file_is_out_of_reach(policy: dfa.Policy, path: str) -> None:
    """A link also needs the other end, which the same rules refuse."""
    assert policy.own_file(path) & ~LINK == 0


@pytest.mark.parametrize("path", sorted(set(READ_ONLY) - {"/workspace/x"}))
def test_image_and_kernel_files_can_be_read_and_not_changed(policy: dfa.Policy, path: str) -> None:
    assert policy.own_file(path) & (READ | WRITE) == READ


@pytest.mark.parametrize("path", ["/work/x", "/tmp/x", "/dev/shm/x", "/dev/null"])  # noqa: S108
def test_workspace_temporary_files_and_devices_are_writable(policy: dfa.Policy, path: str) -> None:
    assert policy.own_file(path) & (READ | WRITE) == READ | WRITE


def test_programs_run_from_workspace_and_image_only(policy: dfa.Policy) -> None:
    for path in ("/work/bin/x", "/usr/bin/python3", "/opt/x"):
        assert policy.own_file(path) & (EXEC | MAP) == EXEC | MAP
    for path in ("/tmp/x", "/dev/shm/x", "/home/x", "/"):  # noqa: S108 - asked about, not used
        assert not policy.own_file(path) & (EXEC | MAP)


def test_sockets_of_programs_can_be_made(policy: dfa.Policy) -> None:
    for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
        assert policy.socket(family, socket.SOCK_STREAM)
    assert policy.socket(socket.AF_NETLINK, socket.SOCK_RAW)


def test_nothing_can_be_mounted(policy: dfa.Policy) -> None:
    assert policy.mediates(dfa.MOUNT)
    assert not policy.mount("/work/x", "none", "tmpfs")
