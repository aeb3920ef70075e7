"""The seccomp files on a real directory: whole, verified, repaired, never edited, swept late."""

import json
import os
import platform
from pathlib import Path

import pytest

from ringfence.node.seccomp_store import (
    NotInstalledError,
    SeccompStore,
    builtin_profiles,
    ensure,
    verify,
)
from ringfence.profiles.seccomp import Arch, localhost_profile, render

OURS = builtin_profiles(platform.machine())
(NAME,) = OURS
STRICT = json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []})


@pytest.fixture
def store(tmp_path: Path) -> SeccompStore:
    return SeccompStore(tmp_path, OURS, ())


def test_profile_is_put_under_the_name_that_pods_use(tmp_path: Path, store: SeccompStore) -> None:
    assert store.check() == ((localhost_profile(),), ())
    installed = tmp_path / localhost_profile()
    assert installed.read_bytes() == render(Arch(platform.machine()))
    assert installed.stat().st_mode & 0o7777 == 0o644
    assert [path.name for path in installed.parent.iterdir()] == [installed.name]


def test_a_right_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    assert ensure(path, b"{}\n")
    before = path.stat()
    assert not ensure(path, b"{}\n")
    assert path.stat() == before


@pytest.mark.parametrize("wrong", [b"", b"{}", b"{}\nlonger"])
def test_a_wrong_file_is_replaced_and_never_written_to(tmp_path: Path, wrong: bytes) -> None:
    """A container that has the old file open keeps reading the old content to its end."""
    path = tmp_path / "profile.json"
    path.write_bytes(wrong)
    with path.open("rb") as reader:
        assert ensure(path, b"{}\n")
        assert reader.read() == wrong
    assert path.read_bytes() == b"{}\n"


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "profile.json"
    target.write_bytes(b"{}\n")
    target.chmod(0o644)
    path.symlink_to(target)
    assert ensure(path, b"{}\n")
    assert not path.is_symlink()
    assert target.read_bytes() == b"{}\n"


def test_a_mode_that_others_could_write_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    ensure(path, b"{}\n")
    path.chmod(0o666)
    assert ensure(path, b"{}\n")
    assert path.stat().st_mode & 0o7777 == 0o644


def test_removed_file_is_put_back_and_counted(tmp_path: Path, store: SeccompStore) -> None:
    store.check()
    assert store.repairs == 0
    (tmp_path / NAME).unlink()
    assert store.check() == ((NAME,), ())
    assert store.repairs == 1


def test_file_that_cannot_be_put_in_place_is_not_claimed(
    tmp_path: Path, store: SeccompStore
) -> None:
    blocked = tmp_path / NAME
    blocked.mkdir(parents=True)
    (blocked / "content").touch()  # a directory that rename cannot replace
    good, (problem,) = store.check()
    assert good == ()
    assert str(blocked) in problem
    assert [path.name for path in blocked.parent.iterdir()] == [blocked.name]


def test_unknown_architecture_is_refused_with_the_way_out() -> None:
    with pytest.raises(NotInstalledError, match=r"riscv64.*keep sandboxes off this node"):
        builtin_profiles("riscv64")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_kernels_own_architecture_names_are_understood(machine: str) -> None:
    assert builtin_profiles(machine) == {localhost_profile(): render(Arch(machine))}


OLD = "ringfence/sandbox-agent-00000000.json"


@pytest.fixture
def older(tmp_path: Path, store: SeccompStore) -> Path:
    store.check()
    path = tmp_path / OLD
    path.write_bytes(b"older")
    return path


def test_unused_old_profile_is_removed_after_the_grace_time(
    older: Path, store: SeccompStore
) -> None:
    assert store.sweep(frozenset(), 60, now=1000) == []
    assert store.sweep(frozenset(), 60, now=1059) == []
    assert store.sweep(frozenset(), 60, now=1060) == [older]
    assert not older.exists()


def test_profile_that_a_pod_uses_is_never_removed(older: Path, store: SeccompStore) -> None:
    store.sweep(frozenset({OLD}), 60, now=0)
    assert store.sweep(frozenset({OLD}), 60, now=10_000) == []
    assert older.exists()


def test_grace_time_begins_anew_after_each_use(older: Path, store: SeccompStore) -> None:
    store.sweep(frozenset(), 60, now=0)
    store.sweep(frozenset({OLD}), 60, now=50)
    assert store.sweep(frozenset(), 60, now=100) == []
    assert older.exists()


def test_current_profile_and_files_of_others_are_never_removed(
    tmp_path: Path, store: SeccompStore
) -> None:
    store.check()
    foreign = [tmp_path / "ringfence/mine.json", tmp_path / "other/sandbox-agent-1.json"]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    store.sweep(frozenset(), 60, now=0)
    assert store.sweep(frozenset(), 60, now=10_000) == []
    assert all(path.exists() for path in (*foreign, tmp_path / NAME))


def _foreign(path: Path, text: str = STRICT, mode: int = 0o644) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_profile_of_another_provider_is_verified_and_never_written(tmp_path: Path) -> None:
    path = _foreign(tmp_path / "operator" / "strict.json")
    store = SeccompStore(tmp_path, {}, ("operator/strict.json",))
    assert store.check() == (("operator/strict.json",), ())
    path.unlink()
    good, (problem,) = store.check()
    assert (good, path.exists()) == ((), False)
    assert "install it" in problem


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"defaultAction": "SCMP_ACT_ALLOW"}',
        '{"defaultAction": "SCMP_ACT_LOG"}',
        '{"defaultAction": "SCMP_ACT_ERRNO", "archMap": [{}]}',
    ],
)
def test_lax_profile_of_another_provider_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(NotInstalledError, match="lax"):
        verify(_foreign(tmp_path / "lax.json", text))


def test_profile_that_others_could_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotInstalledError, match="others cannot write"):
        verify(_foreign(tmp_path / "open.json", mode=0o666))


def test_fifo_in_place_of_a_profile_hangs_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json", 0o644)
    with pytest.raises(NotInstalledError):
        verify(tmp_path / "pipe.json")


def test_directories_of_all_profiles_are_watched(tmp_path: Path) -> None:
    store = SeccompStore(tmp_path, {}, ("operator/a.json", "b.json"))
    assert set(store.directories()) == {tmp_path, tmp_path / "operator"}
