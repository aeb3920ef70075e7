"""The rendered files: what the runtime reads, committed, stable, and strictly valid."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from profiles.bpf import ALLOW, compiled
from ringfence.profiles import seccomp
from ringfence.profiles.__main__ import main
from ringfence.profiles.seccomp import Arch, localhost_profile, profile, profile_hash, render
from ringfence.profiles.validate import InvalidProfile, validate

COMMITTED = Path(__file__).parents[3] / "profiles" / "seccomp"


@pytest.mark.parametrize("arch", Arch)
def test_committed_file_is_what_the_table_says(arch: Arch) -> None:
    assert (COMMITTED / f"{arch}.json").read_bytes() == render(arch)


def test_check_fails_on_a_stale_and_on_a_missing_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check", "--out", str(tmp_path)]) == 1
    assert main(["--out", str(tmp_path)]) == 0
    assert main(["--check", "--out", str(tmp_path)]) == 0
    (tmp_path / "seccomp" / "x86_64.json").write_text("{}")
    (tmp_path / "apparmor" / "sandbox-agent").unlink()
    capsys.readouterr()
    assert main(["--check", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "x86_64.json" in said
    assert "apparmor/sandbox-agent" in said
    assert (tmp_path / "seccomp" / "x86_64.json").read_text() == "{}"


@pytest.mark.parametrize("arch", Arch)
def test_profile_lists_one_architecture_and_keeps_the_cpu_mitigation(arch: Arch) -> None:
    document = json.loads(render(arch))
    assert document["architectures"] == [f"SCMP_ARCH_{arch.name}"]
    assert document["flags"] == ["SECCOMP_FILTER_FLAG_LOG"]
    assert (document["defaultAction"], document["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)


def test_pod_reference_is_a_descending_path_with_one_hash_for_all_architectures() -> None:
    assert localhost_profile() == f"ringfence/sandbox-agent-{profile_hash()}.json"
    assert re.fullmatch(r"ringfence/sandbox-agent-[0-9a-f]{8}\.json", localhost_profile())


def test_hash_changes_when_one_architecture_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = profile_hash()
    monkeypatch.setattr(seccomp, "render", lambda arch: render(arch) + b" " * (arch == "aarch64"))
    assert profile_hash() != before


@pytest.mark.parametrize("arch", Arch)
def test_own_profiles_are_valid(arch: Arch) -> None:
    validate(profile(arch))


RULE = {"names": ["read"], "action": "SCMP_ACT_ALLOW"}
MASKED = {"index": 0, "value": 1, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}
EQUAL = {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}
ERRNO = {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}

BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "docker archMap": ({"archMap": []}, "profile.archMap"),
    "unknown key": ({"listenerPath": "/x"}, "profile.listenerPath"),
    "default allow": ({"defaultAction": "SCMP_ACT_ALLOW"}, "defaultAction"),
    "default kill": ({"defaultAction": "SCMP_ACT_KILL"}, "defaultAction"),
    "default reports success": ({"defaultErrnoRet": 0}, "defaultErrnoRet"),
    "default errno missing": ({"defaultErrnoRet": None}, "defaultErrnoRet"),
    "two architectures": (
        {"architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]},
        "architectures",
    ),
    "other architecture": ({"architectures": ["SCMP_ARCH_X32"]}, "architectures"),
    "no flags": ({"flags": None}, "flags"),
    "mitigation off": ({"flags": ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]}, "flags"),
    "no rules": ({"syscalls": []}, "syscalls"),
    "rule no object": ({"syscalls": ["read"]}, "syscalls[0]"),
    "docker includes": ({"syscalls": [{**RULE, "includes": {}}]}, "syscalls[0].includes"),
    "docker excludes": ({"syscalls": [{**RULE, "excludes": {}}]}, "syscalls[0].excludes"),
    "docker minKernel": ({"syscalls": [{**RULE, "minKernel": "4.8"}]}, "syscalls[0].minKernel"),
    "single name": ({"syscalls": [{"name": "read", "action": "SCMP_ACT_ALLOW"}]}, "names"),
    "unknown action": ({"syscalls": [{**RULE, "action": "SCMP_ACT_LOG"}]}, "unknown action"),
    "errno of an allow": ({"syscalls": [{**RULE, "errnoRet": 1}]}, "syscalls[0].errnoRet"),
    "errno missing": ({"syscalls": [{**RULE, "action": "SCMP_ACT_ERRNO"}]}, "errnoRet"),
    "two on one argument": ({"syscalls": [{**RULE, "args": [EQUAL, EQUAL]}]}, "loads as OR"),
    "empty arguments": ({"syscalls": [{**RULE, "args": []}]}, "syscalls[0].args"),
    "not equal": ({"syscalls": [{**RULE, "args": [{**EQUAL, "op": "SCMP_CMP_NE"}]}]}, ".op"),
    "argument seven": ({"syscalls": [{**RULE, "args": [{**EQUAL, "index": 6}]}]}, ".index"),
    "negative value": ({"syscalls": [{**RULE, "args": [{**EQUAL, "value": -1}]}]}, ".value"),
    "value as text": ({"syscalls": [{**RULE, "args": [{**EQUAL, "value": "1"}]}]}, ".value"),
    "mask alone": (
        {"syscalls": [{**RULE, "args": [{**EQUAL, "op": "SCMP_CMP_MASKED_EQ"}]}]},
        ".valueTwo",
    ),
    "refusal beside an allow": (
        {"syscalls": [RULE, {**ERRNO, "args": [MASKED]}]},
        "can never decide",
    ),
    "condition beside an allow": (
        {"syscalls": [{**RULE, "args": [EQUAL]}, RULE]},
        "can never decide",
    ),
    "two answers": ({"syscalls": [RULE, ERRNO]}, "second rule"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_profile_that_would_load_as_something_else_is_refused(case: str) -> None:
    change, message = BROKEN[case]
    document = {**profile(Arch.X86_64), **change}
    with pytest.raises(InvalidProfile, match=re.escape(message)):
        validate(document)


def test_all_problems_are_reported_at_once() -> None:
    document = {**profile(Arch.X86_64), "archMap": [], "defaultErrnoRet": 0}
    with pytest.raises(InvalidProfile) as raised:
        validate(document)
    assert len(str(raised.value).splitlines()) == 2


def test_two_conditions_on_one_argument_really_would_load_as_or() -> None:
    """Why the validator refuses them: the same rule compiled as runc does it allows both."""
    document = copy.deepcopy(profile(Arch.X86_64))
    args = [{**EQUAL, "value": 5}, {**EQUAL, "value": 7}]
    document["syscalls"].append({"names": ["acct"], "action": "SCMP_ACT_ALLOW", "args": args})
    loaded = compiled(document, Arch.X86_64)
    assert (loaded.decide("acct", 5), loaded.decide("acct", 7)) == (ALLOW, ALLOW)
