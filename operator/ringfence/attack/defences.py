"""The defences that rows name, each with the sign by which it is recognised in a report. Pure.

A sign is the kernel's answer to the attack itself. Where two layers would give the same answer,
the probe asks for one alone (see kit.refusal), so that a missing one is never covered by another.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from ringfence.api import Layer
from ringfence.attack.model import Limits, Observed

_APP_ARMOR_PREFIX: Final = "sandbox-agent-"


class Defence(NamedTuple):
    """One thing that stops attacks.

    Attributes:
        layer: Where it belongs.
        label: For people.
        holds: Whether a report shows it.
    """

    layer: Layer
    label: str
    holds: Callable[[Observed, Limits], bool]


def _filtered(seen: Observed, _limits: Limits) -> bool:
    """Every attempt that is a system call is refused by the filter alone."""
    return bool(seen.attempts) and all(attempt.filter for attempt in seen.attempts)


def _powerless(seen: Observed, _limits: Limits) -> bool:
    sets = (seen.me.capabilities, seen.me.bounding)
    return seen.me.uid != 0 and seen.me.no_new_privileges == 1 and not any(int(s, 16) for s in sets)


def _read_only_root(seen: Observed, _limits: Limits) -> bool:
    return seen.facts.get("readOnlyRoot") is True


def _read_only_settings(seen: Observed, _limits: Limits) -> bool:
    return seen.facts.get("readOnlySettings") is True


def _nothing_there(seen: Observed, _limits: Limits) -> bool:
    return all(attempt.errno in ("ENOENT", "ENOTDIR") for attempt in seen.attempts)


def _own_pids(seen: Observed, _limits: Limits) -> bool:
    return seen.facts.get("ownPidNamespace") is True and seen.number("strangers") == 0


def _own_network(seen: Observed, _limits: Limits) -> bool:
    return seen.facts.get("ownNetworkNamespace") is True


def _few_processes(seen: Observed, limits: Limits) -> bool:
    return seen.number("processes") <= limits.pids


def _little_memory(seen: Observed, limits: Limits) -> bool:
    return seen.number("bytes") <= limits.memory


def _little_disk(seen: Observed, limits: Limits) -> bool:
    """ENOSPC of the node's own disk is no limit but the damage."""
    return seen.facts.get("ownVolume") is True and seen.number("bytes") <= limits.disk


def _fenced(seen: Observed, _limits: Limits) -> bool:
    """Judged attempt by attempt in judge.py: silence there is no refusal."""
    return bool(seen.attempts)


def _confined(seen: Observed, _limits: Limits) -> bool:
    name, _, mode = seen.me.app_armor.rpartition(" ")
    return name.startswith(_APP_ARMOR_PREFIX) and mode == "(enforce)"


SECCOMP: Final = Defence("seccomp", "seccomp profile", _filtered)
POWERLESS: Final = Defence("process", "no capability, no new privileges", _powerless)
READ_ONLY_ROOT: Final = Defence("process", "read-only root", _read_only_root)
READ_ONLY_SETTINGS: Final = Defence("process", "read-only /proc/sys and /sys", _read_only_settings)
NO_TOKEN: Final = Defence("process", "no token is mounted", _nothing_there)
OWN_FILES: Final = Defence("namespaces", "own mount namespace", _nothing_there)
OWN_PIDS: Final = Defence("namespaces", "own pid namespace", _own_pids)
OWN_NETWORK: Final = Defence("namespaces", "own network namespace", _own_network)
PIDS: Final = Defence("resources", "pids limit", _few_processes)
MEMORY: Final = Defence("resources", "memory limit", _little_memory)
DISK: Final = Defence("resources", "volume of its own", _little_disk)
FENCE: Final = Defence("network", "network fence", _fenced)
APP_ARMOR: Final = Defence("appArmor", "AppArmor profile", _confined)
