"""The seccomp profile as the container runtime reads it: OCI `LinuxSeccomp`, one per architecture.

Pure: from the table to a dict and to bytes. It must not touch files, the clock or the network.
`validate` is strict where the runtime is lenient, because the runtime silently ignores what it
does not know: a profile in Docker's format would allow everything that format makes conditional.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from ringfence.profiles.arguments import FULL, ArgumentRule, Condition
from ringfence.profiles.syscalls import ALLOWED, ARGUMENT_RULES, MISSING, Group

if TYPE_CHECKING:
    from collections.abc import Iterable

EPERM: Final = 1
ENOSYS: Final = 38
DIRECTORY: Final = "ringfence"


class Arch(StrEnum):
    """A node architecture, by the name `uname -m` gives it."""

    X86_64 = "x86_64"
    AARCH64 = "aarch64"


def profile(arch: Arch) -> dict[str, Any]:
    """Return the profile of one architecture.

    Only the native architecture is listed. A call through another one (32-bit `int 0x80`, x32) is
    then killed, which closes the way round the socket rule through `socketcall`.
    """
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": [f"SCMP_ARCH_{arch.name}"],
        # An explicit list replaces runc's default SPEC_ALLOW, which would turn off a CPU bug
        # mitigation; LOG makes every refusal an audit record and costs allowed calls nothing.
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [
            *({"names": _names(group), "action": "SCMP_ACT_ALLOW"} for group in ALLOWED),
            *(_conditional(rule) for rule in ARGUMENT_RULES),
            {"names": _sorted_names(MISSING), "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
        ],
    }


def render(arch: Arch) -> bytes:
    """Return the profile as canonical JSON: the same bytes for the same table, always."""
    return (json.dumps(profile(arch), indent=2) + "\n").encode()


def profile_hash() -> str:
    """Return 8 hex digits over the profiles of all architectures.

    One hash for all: a Pod names its profile before it is known which node will run it.
    """
    digest = hashlib.sha256()
    for arch in Arch:
        digest.update(render(arch))
    return digest.hexdigest()[:8]


def localhost_profile() -> str:
    """Return what a Pod says in `seccompProfile.localhostProfile`."""
    return f"{DIRECTORY}/sandbox-agent-{profile_hash()}.json"


def _names(group: Group) -> list[str]:
    return sorted(group.names)


def _sorted_names(groups: Iterable[Group]) -> list[str]:
    return sorted(name for group in groups for name in group.names)


def _conditional(rule: ArgumentRule) -> dict[str, Any]:
    return {
        "names": [rule.name],
        "action": "SCMP_ACT_ALLOW",
        "args": [_argument(condition) for condition in rule.conditions],
    }


def _argument(condition: Condition) -> dict[str, Any]:
    if condition.mask == FULL:
        return {"index": condition.argument, "value": condition.value, "op": "SCMP_CMP_EQ"}
    return {
        "index": condition.argument,
        "value": condition.mask,  # in this operation the runtime calls the mask "value"
        "valueTwo": condition.value,
        "op": "SCMP_CMP_MASKED_EQ",
    }
