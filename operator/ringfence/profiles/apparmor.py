"""The AppArmor profile of the agent container as `apparmor_parser` reads it.

Pure: from the table in `access` to text. It must not touch files or the kernel. The text includes
nothing but the ABI that it was written for, so it means the same wherever it is compiled. Its name
holds a hash of its content: a changed profile is a new profile, and a loaded one is never edited.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Final

from ringfence.profiles.access import (
    ALLOWED,
    DENIED,
    REFUSED_FAMILIES,
    SOCKETS,
    TRIPWIRES,
    Access,
    Denial,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME_PATTERN: Final = r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
"""A profile's name, also as the name part of a node label."""

_STEM: Final = "sandbox-agent"
_PATH: Final = re.compile(r"/([A-Za-z0-9_.*-]+/)*[A-Za-z0-9_.*-]*")
_WORD: Final = re.compile(r"[a-z0-9_]+")
_EVERYTHING: Final = "mrwklx"
_RUNTIMES: Final = ("crun", "runc", "unconfined")
"""Profiles under which container runtimes send the signals that stop a container."""


class UnsafeRuleError(ValueError):
    """A word of the table would end its rule and begin another; the message shows it."""


def profile_name() -> str:
    """Return what a Pod says in `appArmorProfile.localhostProfile`."""
    return _rendered()[0]


def render() -> str:
    """Return the text of the profile: the same for the same table, always."""
    return _rendered()[1]


@cache
def _rendered() -> tuple[str, str]:
    digest = hashlib.sha256(_text(_STEM).encode()).hexdigest()
    name = f"{_STEM}-{digest[:8]}"
    return name, _text(name)


def _text(name: str) -> str:
    """Return the profile under a name, which also is its own peer in signal and ptrace rules."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise UnsafeRuleError(name)
    lines = "".join(f"  {line}\n" if line else "\n" for line in _body(name))
    return (
        "# Written by `python -m ringfence.profiles`; do not edit.\n"
        # Newer ABIs take Unix sockets out of `network` and mediate more than was tested here.
        "abi <abi/3.0>,\n\n"
        f"profile {name} flags=(attach_disconnected,mediate_deleted) {{\n{lines}}}\n"
    )


def _body(name: str) -> Iterator[str]:
    # `audit deny mount` beside `audit deny umount` makes apparmor_parser 3.0 leave mounts out of
    # the policy, and the kernel then allows them. Without any rule it refuses and records them.
    yield "# No capability, mount, umount or pivot_root rule: refused even to root."
    yield from chain.from_iterable(map(_allowing, ALLOWED))
    yield from chain.from_iterable(map(_denying, DENIED))
    yield from _tripwires()
    yield from _sockets()
    yield from _processes(name)


def _allowing(access: Access) -> Iterator[str]:
    yield from _heading(access.why)
    for path in access.paths:
        yield f"{_path(path)} {access.permissions},"


def _denying(denial: Denial) -> Iterator[str]:
    yield from _heading(denial.why)
    for tree in denial.trees:
        yield f"audit deny {_path(tree)}{{,/,/**}} {_EVERYTHING},"


def _tripwires() -> Iterator[str]:
    yield from _heading("tripwires, not controls: a copy under another name runs")
    for program in TRIPWIRES:
        yield f"audit deny /{{,usr/,usr/local/}}{{,s}}bin/{_word(program)} x,"


def _sockets() -> Iterator[str]:
    yield from _heading("sockets")
    for socket in SOCKETS:
        family, kind = map(_word, socket.split())
        yield f"network {family} {kind},"
        if family == "unix":  # for kernels that mediate the Unix sockets one by one
            yield f"unix type={kind},"
    for family in REFUSED_FAMILIES:
        yield f"audit deny network {_word(family)},"


def _processes(name: str) -> Iterator[str]:
    yield from _heading("processes: only its own, to look at and to signal")
    yield "audit deny ptrace (trace, tracedby),"
    yield f"ptrace (read, readby) peer={name},"
    yield f"signal (send, receive) peer={name},"
    yield from (f"signal (receive) peer={runtime}," for runtime in _RUNTIMES)


def _heading(why: str) -> Iterator[str]:
    if not why.isprintable():
        raise UnsafeRuleError(why)
    yield ""
    yield f"# {why}"


def _path(glob: str) -> str:
    if not _PATH.fullmatch(glob):
        raise UnsafeRuleError(glob)
    return glob


def _word(word: str) -> str:
    if not _WORD.fullmatch(word):
        raise UnsafeRuleError(word)
    return word
