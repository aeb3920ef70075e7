"""The AppArmor profiles in this node's kernel: loads ours, and says which are in enforce mode. I/O.

A runtime starts a container under a profile that is loaded in any mode, complain mode too; only
what is in enforce mode counts here. A loaded profile is never changed: its name hashes its text.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ringfence.node import files, procfs

_PARSER: Final = ("/usr/sbin/apparmor_parser", "--replace", "--skip-cache")
_PARSER_SECONDS: Final = 30.0
_ENFORCE: Final = "enforce"


class AppArmorStore:
    """The profiles of one kernel."""

    def __init__(self, root: Path, own: Mapping[str, str], foreign: tuple[str, ...]) -> None:
        """Remembers what should be loaded.

        Args:
            root: The node's /sys/kernel/security.
            own: Name and text of what we load.
            foreign: Names of what somebody else loads.
        """
        self._list = str(root / "apparmor" / "profiles")
        self._own = own
        self._foreign = foreign

    def check(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The wanted names in enforce mode, and what is wrong with the others."""
        loaded = self._loaded()
        failed = [problem for name in self._own if (problem := self._load(name, loaded))]
        loaded = self._loaded() if set(self._own) - _enforced(loaded) else loaded
        wanted = (*self._own, *self._foreign)
        good = tuple(name for name in wanted if name in _enforced(loaded))
        missing = [f"AppArmor profile {name}: {_seen(loaded, name)}" for name in wanted]
        bad = [text for name, text in zip(wanted, missing, strict=True) if name not in good]
        return good, (*failed, *bad)

    def _loaded(self) -> dict[str, str]:
        return procfs.parse_loaded_profiles(files.read(self._list) or "")

    def _load(self, name: str, loaded: Mapping[str, str]) -> str | None:
        """Loads a profile unless it is in force; returns what went wrong."""
        if loaded.get(name) == _ENFORCE:
            return None
        try:
            done = subprocess.run(
                _PARSER,
                input=self._own[name],
                capture_output=True,
                text=True,
                timeout=_PARSER_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"AppArmor profile {name}: apparmor_parser: {error}"
        said = done.stderr.strip()
        return f"AppArmor profile {name}: {said}" if done.returncode else None


def _enforced(loaded: Mapping[str, str]) -> set[str]:
    return {name for name, mode in loaded.items() if mode == _ENFORCE}


def _seen(loaded: Mapping[str, str], name: str) -> str:
    return f"loaded in {loaded[name]} mode, not enforced" if name in loaded else "not loaded"
