"""What the kernel would decide: compile a profile with the real apparmor_parser and walk its DFA.

The binary policy is read and matched as the kernel does it (security/apparmor: match.c, file.c);
deny rules are already worked into it by the parser. It must not read the profile's text: that is
the point of not writing a second understanding of AppArmor's language.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from functools import cache
from typing import Final

EXEC, WRITE, READ, APPEND, LINK, LOCK, MAP = (1 << bit for bit in range(7))
ALL: Final = 0x7F

NET, PTRACE, SIGNAL, MOUNT = 14, 9, 10, 7
TRACE, LOOK, TRACED, LOOKED_AT = WRITE, READ, APPEND, LINK
SEND, RECEIVE = WRITE, READ

_MAGIC: Final = struct.pack(">I", 0x1B5E_783D)
_ACCEPT, _BASE, _CHECK, _DEFAULT, _CLASSES, _AUDIT, _NEXT = 1, 2, 3, 4, 5, 7, 8
_DIFFERENTIAL: Final = 1 << 31
_INDEX: Final = 0xFF_FFFF
_FORMATS: Final = {1: "B", 2: "H", 4: "I"}


@dataclass(frozen=True)
class Dfa:
    """One state machine of a policy: its tables by id."""

    tables: dict[int, tuple[int, ...]]

    def walk(self, state: int, data: bytes) -> int:
        """Return the state after the bytes."""
        for byte in data:
            state = self._step(state, byte)
        return state

    def accept(self, state: int) -> int:
        """Return the 32 bits of permissions of a state."""
        return self.tables[_ACCEPT][state]

    def _step(self, state: int, byte: int) -> int:
        classes = self.tables.get(_CLASSES)
        character = classes[byte] if classes else byte
        while True:
            base = self.tables[_BASE][state]
            position = (base & _INDEX) + character
            if self.tables[_CHECK][position] == state:
                return self.tables[_NEXT][position]
            state = self.tables[_DEFAULT][state]
            if not base & _DIFFERENTIAL:
                return state


@dataclass(frozen=True)
class Policy:
    """A compiled profile: paths in one state machine, everything else in the other."""

    others: Dfa
    files: Dfa

    def file(self, path: str) -> int:
        """Return what may be done with a path that belongs to somebody else, as EXEC to MAP."""
        found = self.files.accept(self.files.walk(1, path.encode()))
        return found >> 14 & ALL

    def own_file(self, path: str) -> int:
        """Return what may be done with a path that belongs to the process's own user."""
        return self.files.accept(self.files.walk(1, path.encode())) & ALL

    def silent(self, path: str) -> int:
        """Return which refusals about a path leave no audit record, of EXEC to MAP."""
        found = self.files.tables[_AUDIT][self.files.walk(1, path.encode())]
        return (found >> 7 | found >> 21) & ALL

    def mount(self, point: str, source: str, kind: str) -> bool:
        """Say whether a file system may be mounted, with no flag."""
        fields = (point, source, kind)
        return bool(self._class(MOUNT, b"".join(f"{f}\0".encode() for f in fields)) & WRITE)

    def unmount(self, point: str) -> bool:
        """Say whether a file system may be unmounted."""
        return bool(self._class(MOUNT, point.encode()) & READ)

    def socket(self, family: int, kind: int) -> bool:
        """Say whether a socket of this family and type may be made and used."""
        return bool(self._class(NET, struct.pack(">HH", family, kind)) & READ)

    def ptrace(self, peer: str) -> int:
        """Return what is allowed between the profile and a peer, of TRACE to LOOKED_AT."""
        return self._class(PTRACE, peer.encode())

    def signal(self, number: int, peer: str) -> int:
        """Return whether a signal may be sent to or received from a peer, of SEND and RECEIVE."""
        return self._class(SIGNAL, bytes([number]) + peer.encode())

    def mediates(self, kind: int) -> bool:
        """Say whether the policy decides about a class of actions; if not, the kernel allows it."""
        return self.others.walk(1, bytes([kind])) != 0

    def _class(self, kind: int, data: bytes) -> int:
        return self.others.accept(self.others.walk(1, bytes([kind]) + data)) & ALL


@cache
def compiled(text: str, features: str) -> Policy:
    """Return the policy that the parser makes of a profile.

    Args:
        text: The profile.
        features: File of the features that the kernel is said to have.
    """
    command = [parser(), "--skip-kernel-load", "--skip-cache", "--quiet", "--stdout"]
    done = subprocess.run(
        [*command, "--features-file", features],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return Policy(*_machines(done.stdout))


def parser() -> str:
    """Return the path of apparmor_parser."""
    found = shutil.which("apparmor_parser")
    assert found, "apparmor_parser is not installed on this machine: `apt-get install apparmor`"
    return found


def _machines(binary: bytes) -> list[Dfa]:
    pieces = binary.split(_MAGIC)[1:]
    return [_machine(_MAGIC + piece) for piece in pieces]


def _machine(data: bytes) -> Dfa:
    position, size = struct.unpack_from(">4xII", data)
    tables: dict[int, tuple[int, ...]] = {}
    while position < size:
        identity, width, length = struct.unpack_from(">HH4xI", data, position)
        form = f">{length}{_FORMATS[width]}"
        tables[identity] = struct.unpack_from(form, data, position + 12)
        position = -(-(position + 12 + length * width) // 8) * 8
    return Dfa(tables)
