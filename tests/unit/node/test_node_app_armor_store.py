"""Only what the kernel has in enforce mode counts; what is missing is loaded."""

from pathlib import Path

import pytest

from ringfence.node import app_armor_store
from ringfence.node.app_armor_store import AppArmorStore

NAME = "sandbox-agent-0a1b2c3d"
OTHER = "docker-default (enforce)\n"
TEXT = f"profile {NAME} {{}}\n"


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    path = tmp_path / "apparmor" / "profiles"
    path.parent.mkdir()
    path.write_text(OTHER)
    return path


def _parser(monkeypatch: pytest.MonkeyPatch, path: Path, script: str) -> None:
    """A stand-in for apparmor_parser and the kernel behind it."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(app_armor_store, "_PARSER", (str(path), "--replace", "--skip-cache"))


def test_missing_profile_is_loaded_with_its_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profiles: Path
) -> None:
    script = f'cat >{tmp_path}/text; echo "{NAME} (enforce)" >>{profiles}'
    _parser(monkeypatch, tmp_path / "parser", script)
    assert AppArmorStore(tmp_path, {NAME: TEXT}, ()).check() == ((NAME,), ())
    assert (tmp_path / "text").read_text() == TEXT


def test_enforced_profile_is_not_loaded_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profiles: Path
) -> None:
    profiles.write_text(f"{OTHER}{NAME} (enforce)\n")
    _parser(monkeypatch, tmp_path / "parser", f"touch {tmp_path}/called")
    assert AppArmorStore(tmp_path, {NAME: TEXT}, ()).check() == ((NAME,), ())
    assert not (tmp_path / "called").exists()


def test_profile_in_complain_mode_does_not_count(tmp_path: Path, profiles: Path) -> None:
    profiles.write_text(f"{NAME} (complain)\n")
    good, (problem,) = AppArmorStore(tmp_path, {}, (NAME,)).check()
    assert good == ()
    assert "complain mode, not enforced" in problem


@pytest.mark.usefixtures("profiles")
def test_failure_to_load_is_told_in_the_parsers_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _parser(monkeypatch, tmp_path / "parser", "cat >/dev/null; echo 'no such ABI' >&2; exit 1")
    good, problems = AppArmorStore(tmp_path, {NAME: TEXT}, ()).check()
    assert good == ()
    assert "no such ABI" in problems[0]


@pytest.mark.usefixtures("profiles")
def test_missing_parser_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(app_armor_store, "_PARSER", (str(tmp_path / "none"),))
    good, problems = AppArmorStore(tmp_path, {NAME: TEXT}, ()).check()
    assert good == ()
    assert "apparmor_parser" in problems[0]


def test_kernel_without_the_file_has_nothing_loaded(tmp_path: Path) -> None:
    good, (problem,) = AppArmorStore(tmp_path, {}, (NAME,)).check()
    assert good == ()
    assert problem.endswith("not loaded")
