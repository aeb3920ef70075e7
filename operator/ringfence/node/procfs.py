"""Parsers of what /proc says about a process. Pure.

Formats: proc(5). A text that is not in the form the kernel writes is an error, never a guess.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

_CAPABILITY_SETS: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_ESCAPES: Final = {r"\040": " ", r"\011": "\t", r"\012": "\n", r"\134": "\\"}


@dataclass(frozen=True)
class Status:
    """What matters of /proc/<pid>/status; ids are the node's, not the container's."""

    command: str
    uids: tuple[int, ...]
    """Real, effective, saved and file system uid."""
    gids: tuple[int, ...]
    pids: tuple[int, ...]
    """Its number in each pid namespace, from the reader's to its own."""
    capabilities: Mapping[str, int]
    no_new_privileges: bool
    seccomp_mode: int
    seccomp_filters: int


class IdRange(NamedTuple):
    """One line of /proc/<pid>/uid_map."""

    inside: int
    outside: int
    size: int


class Mount(NamedTuple):
    """One line of /proc/<pid>/mountinfo."""

    device: str
    root: str
    point: str
    options: frozenset[str]
    file_system: str


class Confinement(NamedTuple):
    """A line of attr/current: the AppArmor profile of a process and its mode."""

    profile: str
    mode: str


def parse_status(text: str) -> Status:
    """The fields of /proc/<pid>/status."""
    lines = (line.partition(":") for line in text.splitlines())
    found = {key: value.strip() for key, _, value in lines}
    return Status(
        command=found["Name"],
        uids=_numbers(found["Uid"]),
        gids=_numbers(found["Gid"]),
        pids=_numbers(found["NSpid"]),
        capabilities={name: int(found[name], 16) for name in _CAPABILITY_SETS},
        no_new_privileges=found["NoNewPrivs"] == "1",
        seccomp_mode=int(found["Seccomp"]),
        seccomp_filters=int(found.get("Seccomp_filters", "0")),
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split())


def parse_uid_map(text: str) -> tuple[IdRange, ...]:
    """The ranges of /proc/<pid>/uid_map."""
    return tuple(IdRange(*_numbers(line)) for line in text.splitlines())


def inside_id(ranges: Iterable[IdRange], outside: int) -> int | None:
    """The id that a process in the user namespace sees for an id of the node."""
    for inside, first, size in ranges:
        if first <= outside < first + size:
            return inside + outside - first
    return None


def is_identity(ranges: Iterable[IdRange]) -> bool:
    """Whether ids mean the same inside and outside: no user namespace of its own."""
    return all(inside == outside for inside, outside, _ in ranges)


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """The mounts of a process, the topmost of each mount point last."""
    return tuple(_mount(line) for line in text.splitlines())


def _mount(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    _, _, device, root, point, options, *_ = before.split(" ")
    file_system, _ = after.split(" ", 1)
    return Mount(
        device, _unescaped(root), _unescaped(point), frozenset(options.split(",")), file_system
    )


def _unescaped(path: str) -> str:
    for code, character in _ESCAPES.items():
        path = path.replace(code, character)
    return path


def mount_at(mounts: Iterable[Mount], point: str) -> Mount | None:
    """The mount that is seen at a mount point."""
    return next((m for m in reversed(tuple(mounts)) if m.point == point), None)


def parse_process_limit(text: str) -> int | None:
    """The hard RLIMIT_NPROC in /proc/<pid>/limits; None: unlimited."""
    line = next(line for line in text.splitlines() if line.startswith("Max processes"))
    word = line.split()[3]
    return None if word == "unlimited" else int(word)


def parse_start_time(text: str) -> int:
    """When the process was made, in clock ticks since the boot, from /proc/<pid>/stat."""
    return int(text.rpartition(")")[2].split()[19])


def parse_confinement(text: str) -> Confinement:
    """The profile and mode in attr/current; the mode is empty where there is none."""
    profile, _, rest = text.strip("\0\n ").partition(" (")
    return Confinement(profile, rest.rstrip(")"))


def parse_loaded_profiles(text: str) -> dict[str, str]:
    """Name to mode of every AppArmor profile in apparmorfs' `profiles`."""
    return dict(parse_confinement(line) for line in text.splitlines() if line)
