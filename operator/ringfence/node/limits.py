"""Which limits belong into which cgroup, and which limit is in force in the end. Pure.

A limit that somebody else set lower is left alone, and the least along the hierarchy is what
counts, so that is what is reported.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from ringfence import names
from ringfence.node.pods import IoLimits, Limits

PROXY_PIDS: Final = 128
OTHER_PIDS: Final = 16
"""The pause container, which is one process."""
FALLBACK: Final = Limits(pids=256, disk_bytes=5 * 2**30)
"""For a Pod that does not say its limits. It never counts as verified, but is limited."""


class Effective(NamedTuple):
    """The limit that is in force and the cgroup that sets it."""

    value: int | None
    source: str


def pod_pids(limits: Limits) -> int:
    """For the whole Pod."""
    return limits.pids + PROXY_PIDS + OTHER_PIDS


def container_pids(name: str | None, limits: Limits) -> int:
    """For a container.

    Args:
        name: As in the Pod's spec. None: not known yet; what holds for any container.
        limits: Of the Sandbox.
    """
    if name == names.AGENT_CONTAINER:
        return limits.pids
    return PROXY_PIDS if name else max(PROXY_PIDS, limits.pids)


def lowered(current: int | None, wanted: int) -> int | None:
    """What to write; None if at most the wanted number is in force already."""
    return wanted if current is None or current > wanted else None


def effective(chain: Sequence[tuple[str, int | None]]) -> Effective:
    """The least limit.

    Args:
        chain: Name and limit of each cgroup, the container's first.
    """
    found = [Effective(value, source) for source, value in chain if value is not None]
    return min(found, key=lambda limit: limit.value or 0, default=Effective(None, "no cgroup"))


_V1_FILES: Final = {
    "read_bytes": "blkio.throttle.read_bps_device",
    "write_bytes": "blkio.throttle.write_bps_device",
    "read_operations": "blkio.throttle.read_iops_device",
    "write_operations": "blkio.throttle.write_iops_device",
}
_V2_KEYS: Final = {
    "read_bytes": "rbps",
    "write_bytes": "wbps",
    "read_operations": "riops",
    "write_operations": "wiops",
}
IO_FILES: Final = {1: tuple(_V1_FILES.values()), 2: ("io.max",)}


def parse_io(version: int, device: str, texts: dict[str, str]) -> IoLimits:
    """What the files of a cgroup say about a device (`8:0`)."""
    if version == 1:
        return IoLimits(
            **{field: _of_device(texts[file], device) for field, file in _V1_FILES.items()}
        )
    line = _of_device_line(texts["io.max"], device)
    words = dict(word.split("=", 1) for word in line.split())
    return IoLimits(**{field: _number(words.get(key, "max")) for field, key in _V2_KEYS.items()})


def io_writes(
    version: int, device: str, wanted: IoLimits, current: IoLimits
) -> list[tuple[str, str]]:
    """File and line for each limit that is not in force yet."""
    due = {
        field: value
        for field in _V1_FILES
        if (limit := getattr(wanted, field)) is not None
        and (value := lowered(getattr(current, field), limit)) is not None
    }
    if version == 1:
        return [(_V1_FILES[field], f"{device} {value}") for field, value in due.items()]
    line = " ".join(f"{_V2_KEYS[field]}={value}" for field, value in due.items())
    return [("io.max", f"{device} {line}")] if due else []


def _of_device(text: str, device: str) -> int | None:
    line = _of_device_line(text, device)
    return int(line) if line else None


def _of_device_line(text: str, device: str) -> str:
    lines = (line.partition(" ") for line in text.splitlines())
    return next((rest for name, _, rest in lines if name == device), "")


def _number(word: str) -> int | None:
    return None if word == "max" else int(word)
