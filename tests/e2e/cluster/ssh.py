"""Running programs on node 2 over the cluster's own network, with keys made for one start.

One connection is kept open and all programs share it: a new one costs the translated machine
a second of its time. Who may log in is decided by the keys alone; both sides know the other's.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from cluster import config
from cluster.shell import in_netns

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class KeyPair:
    """A private and a public key as OpenSSH writes them."""

    private: str
    public: str


@dataclass(frozen=True)
class Ssh:
    """The command lines of one connection; its files are in `directory`."""

    directory: Path

    def write_keys(self) -> dict[str, str]:
        """Make new keys; returns what the other side needs, by file name."""
        host, client = new_key(), new_key()
        self._key.touch(mode=0o600)
        self._key.write_text(client.private)
        self._known_hosts.write_text(f"{config.NODE_2_ADDRESS} {host.public}")
        return {"host_key": host.private, "client_key.pub": client.public}

    def connect(self) -> list[str]:
        """Argv of the process that keeps the connection."""
        options = (
            "BatchMode=yes",
            "ConnectTimeout=60",
            f"IdentityFile={self._key}",
            f"UserKnownHostsFile={self._known_hosts}",
            "StrictHostKeyChecking=yes",
            "KexAlgorithms=curve25519-sha256",
        )
        words = [word for option in options for word in ("-o", option)]
        return in_netns(config.CONTROL_NETNS, *self._ssh("-M", "-N", *words))

    def check(self) -> list[str]:
        """Argv that fails while there is no connection."""
        return self._ssh("-O", "check")

    def run(self, *argv: str) -> list[str]:
        """Argv that runs a program; the other side's shell gives it exactly these words."""
        return [*self._ssh(), shlex.join(argv)]

    def _ssh(self, *options: str) -> list[str]:
        common = ("-F", "none", "-S", str(self.directory / "connection"))
        return ["ssh", *common, *options, f"root@{config.NODE_2_ADDRESS}"]

    @property
    def _key(self) -> Path:
        return self.directory / "client_key"

    @property
    def _known_hosts(self) -> Path:
        return self.directory / "known_hosts"


def new_key() -> KeyPair:
    """A new Ed25519 key pair."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return KeyPair(private.decode(), public.decode() + "\n")
