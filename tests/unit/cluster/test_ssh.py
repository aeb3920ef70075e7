"""Programs on node 2: both sides know each other by keys, words arrive as they were given."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from cluster import config
from cluster.ssh import Ssh, new_key

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ssh(tmp_path: Path) -> Ssh:
    return Ssh(tmp_path)


def test_private_key_is_readable_by_its_owner_only(ssh: Ssh) -> None:
    ssh.write_keys()
    assert (ssh.directory / "client_key").stat().st_mode & 0o777 == 0o600


def test_other_side_gets_its_own_key_and_only_the_public_half_of_ours(ssh: Ssh) -> None:
    texts = ssh.write_keys()
    assert set(texts) == {"host_key", "client_key.pub"}
    assert texts["client_key.pub"].startswith("ssh-ed25519 ")
    (name, *public) = (ssh.directory / "known_hosts").read_text().split()
    assert name == config.NODE_2_ADDRESS
    assert texts["host_key"] != (ssh.directory / "client_key").read_text()
    assert public[0] == "ssh-ed25519"


def test_keys_are_new_each_time() -> None:
    assert new_key() != new_key()


def test_unknown_host_is_refused(ssh: Ssh) -> None:
    assert "StrictHostKeyChecking=yes" in ssh.connect()
    assert f"UserKnownHostsFile={ssh.directory / 'known_hosts'}" in ssh.connect()


def test_connection_is_made_inside_the_clusters_own_network(ssh: Ssh) -> None:
    assert ssh.connect()[:2] == ["nsenter", f"--net=/run/netns/{config.CONTROL_NETNS}"]


def test_configuration_of_the_user_is_not_read(ssh: Ssh) -> None:
    for argv in (ssh.connect(), ssh.check(), ssh.run("true")):
        assert argv[argv.index("-F") + 1] == "none"


@pytest.mark.parametrize("word", ["a b", "$HOME", "'", '"', "\\", ";", "*", "", "ä"])
def test_words_survive_the_other_sides_shell(ssh: Ssh, word: str) -> None:
    remote = ssh.run("printf", "%s", word)[-1]
    assert shlex.split(remote) == ["printf", "%s", word]
    done = subprocess.run(["sh", "-c", remote], capture_output=True, text=True, check=True)
    assert done.stdout == word
