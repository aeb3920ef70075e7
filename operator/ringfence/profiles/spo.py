"""The same profiles as objects of the Security Profiles Operator (v1), for clusters that run it.

Pure. Its SeccompProfile says all that ours says. Its AppArmorProfile is a list of paths that it
turns into rules itself, so a part of ours is lost: docs/profiles.md names what. Names hash the
content, as an object that Pods use must not change under them.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from ringfence.profiles import seccomp
from ringfence.profiles.access import (
    DENIED,
    DEVICES,
    PROGRAMS,
    TEMPORARY,
    WORKSPACE,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

_API_VERSION: Final = "security-profiles-operator.x-k8s.io/v1"
_DIRECTORY: Final = "operator"
"""Where it keeps its files, below the kubelet's seccomp directory."""
_STEM: Final = "sandbox-agent"

_READABLE: Final = (
    "/boot /data /etc /home /media /mnt /nix /proc /root /run /srv /sys /var".split()  # noqa: SIM905
)
"""Directories beside those of programs. Not `/`: what is listed here, it denies to be written."""


@cache
def seccomp_profile() -> Json:
    """Return the SeccompProfile.

    One for all architectures, as a Pod names its profile before its node is known. On each node the
    other architecture's calls cannot be made; 32-bit and x32 calls stay closed.
    """
    spec: Json = {}
    for arch in seccomp.Arch:
        document = seccomp.profile(arch)
        del document["defaultErrnoRet"]  # unknown to this kind, and EPERM is the runtime's default
        architectures = spec.get("architectures", []) + document["architectures"]
        spec = {**document, "architectures": architectures}
    return _object("SeccompProfile", spec)


@cache
def app_armor_profile() -> Json:
    """Return the AppArmorProfile.

    A path both in readOnlyPaths and in writeOnlyPaths is refused in both ways: that is how this
    kind says what ours says in `audit deny`.
    """
    denied = sorted(_denied())
    programs = [*PROGRAMS.paths, *WORKSPACE.paths]
    abstract: Json = {
        "executable": {"allowedExecutables": programs, "allowedLibraries": programs},
        "filesystem": {
            "readOnlyPaths": ["/", "/*", *_trees(_READABLE), *PROGRAMS.paths, *denied],
            "writeOnlyPaths": denied,
            "readWritePaths": [*WORKSPACE.paths, *TEMPORARY.paths, *DEVICES.paths],
        },
        # Raw is the type of the route netlink socket behind getifaddrs(); seccomp refuses the rest.
        "network": {"allowRaw": True, "allowedProtocols": {"allowTcp": True, "allowUdp": True}},
        "ptrace": {"allowedAccess": ["read", "readby"], "peer": "@{profile_name}"},
    }
    return _object("AppArmorProfile", {"mode": "Enforce", "abstract": abstract})


def localhost_profile() -> str:
    """Return what a Pod says in `seccompProfile.localhostProfile`."""
    return f"{_DIRECTORY}/{seccomp_profile()['metadata']['name']}.json"


def app_armor_name() -> str:
    """Return what a Pod says in `appArmorProfile.localhostProfile`."""
    name: str = app_armor_profile()["metadata"]["name"]
    return name


def _object(kind: str, spec: Json) -> Json:
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()
    name = f"{_STEM}-{digest[:8]}"
    return {"apiVersion": _API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _trees(directories: list[str]) -> Iterator[str]:
    for directory in directories:
        yield f"{directory}/"
        yield f"{directory}/**"


def _denied() -> Iterator[str]:
    for denial in DENIED:
        for tree in denial.trees:
            yield tree
            yield from _trees([tree])
