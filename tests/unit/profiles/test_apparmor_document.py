"""The text of the AppArmor profile: its name, what it relies on, and that no word can break out."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from profiles import dfa
from ringfence.profiles import apparmor
from ringfence.profiles.access import ALLOWED, DENIED, Access
from ringfence.profiles.apparmor import UnsafeRuleError, profile_name, render

COMMITTED = Path(__file__).parents[3] / "profiles" / "apparmor" / "sandbox-agent"
RULES = [line.strip() for line in render().splitlines() if line.strip()]


def test_committed_file_is_what_the_table_says() -> None:
    assert COMMITTED.read_text() == render()


def test_name_is_a_hash_of_everything_but_the_name() -> None:
    body = render().replace(profile_name(), "sandbox-agent")
    digest = hashlib.sha256(body.encode()).hexdigest()[:8]
    assert profile_name() == f"sandbox-agent-{digest}"


def test_changed_table_gives_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = profile_name()
    monkeypatch.setattr(apparmor, "DENIED", DENIED[1:])
    apparmor._rendered.cache_clear()
    try:
        assert profile_name() != before
    finally:
        monkeypatch.undo()
        apparmor._rendered.cache_clear()


def test_name_fits_a_node_label() -> None:
    assert re.fullmatch(apparmor.NAME_PATTERN, profile_name())
    assert len(profile_name()) <= 63


def test_parser_accepts_it_without_a_file_but_the_abi() -> None:
    assert [line for line in RULES if "include" in line or "@{" in line] == []
    assert "abi <abi/3.0>," in RULES
    done = subprocess.run(
        [dfa.parser(), "--skip-kernel-load", "--skip-cache", "--names"],
        input=render(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, profile_name())


def test_it_is_enforced_and_files_without_a_path_are_still_decided() -> None:
    (head,) = (line for line in RULES if line.startswith("profile"))
    assert head == f"profile {profile_name()} flags=(attach_disconnected,mediate_deleted) {{"


def test_it_grants_no_capability_mount_or_change_of_profile() -> None:
    words = ("capability", "change_profile", "mount", "umount", "remount", "pivot_root", "userns")
    assert [rule for rule in RULES if rule.startswith(words)] == []


def test_programs_inherit_the_profile_and_never_leave_it() -> None:
    permissions = "".join(access.permissions for access in ALLOWED)
    assert set(permissions) <= set("rwklmix")
    assert all(
        access.permissions.count("x") == access.permissions.count("ix") for access in ALLOWED
    )


def test_every_denial_is_recorded() -> None:
    assert [rule for rule in RULES if rule.startswith("deny")] == []
    assert sum(rule.startswith("audit deny") for rule in RULES) > 50


@pytest.mark.parametrize(
    "path",
    [
        "work/**",
        "/a b",
        "/a,",
        "/a rw,\n  /** rwix",
        '/"a"',
        "/{a,b}",
        "/[ab]",
        "/@{HOME}",
        "/a#b",
        "/a\\b",
        "//a",
        "",
    ],
)
def test_path_that_could_end_its_rule_is_refused(path: str) -> None:
    with pytest.raises(UnsafeRuleError):
        apparmor._path(path)


@pytest.mark.parametrize("word", ["", "a b", "alg,", "a\n", "A", "*", "{a,b}"])
def test_word_that_could_end_its_rule_is_refused(word: str) -> None:
    with pytest.raises(UnsafeRuleError):
        apparmor._word(word)


@pytest.mark.parametrize("name", ["", "a b", "a\n", "-a", "a{", "a" * 64])
def test_name_that_could_end_the_head_is_refused(name: str) -> None:
    with pytest.raises(UnsafeRuleError):
        apparmor._text(name)


def test_reason_of_several_lines_is_refused() -> None:
    with pytest.raises(UnsafeRuleError):
        list(apparmor._allowing(Access("why\n  /** rwix,", ("/x",), "r")))
