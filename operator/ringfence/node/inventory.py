"""What this node has of all that Sandboxes need: both kinds of profiles, seen together. I/O."""

from collections.abc import Callable
from typing import Final

from ringfence import __version__
from ringfence.node.app_armor_store import AppArmorStore
from ringfence.node.report import NodeState
from ringfence.node.seccomp_store import SeccompStore, builtin_profiles
from ringfence.node.settings import NodeSettings
from ringfence.profiles import apparmor

_NOTHING: Final[tuple[tuple[str, ...], tuple[str, ...]]] = ((), ())


class Inventory:
    """The profiles of one node."""

    def __init__(
        self,
        seccomp: SeccompStore,
        app_armor: AppArmorStore,
        app_armor_enabled: Callable[[], bool],
        cgroup_version: int,
    ) -> None:
        self.seccomp = seccomp
        self._app_armor = app_armor
        self._app_armor_enabled = app_armor_enabled
        self._cgroup_version = cgroup_version

    def check(self) -> NodeState:
        """Puts in place what is ours to, and says what is there."""
        files, missing_files = self.seccomp.check()
        enabled = self._app_armor_enabled()
        loaded, missing_loaded = self._app_armor.check() if enabled else _NOTHING
        return NodeState(
            agent_version=__version__,
            cgroup_version=self._cgroup_version,
            seccomp_profiles=files,
            app_armor_enabled=enabled,
            app_armor_profiles=loaded,
            problems=(*missing_files, *missing_loaded),
        )


def seccomp_store(settings: NodeSettings, machine: str) -> SeccompStore:
    """The store as the settings want it.

    Raises:
        NotInstalledError: There is no profile for this architecture.
    """
    if settings.installs:
        return SeccompStore(settings.node_seccomp_root, builtin_profiles(machine), ())
    return SeccompStore(settings.node_seccomp_root, {}, (settings.profiles.seccomp,))


def app_armor_store(settings: NodeSettings) -> AppArmorStore:
    """The store as the settings want it."""
    name = settings.profiles.app_armor
    if settings.installs:
        return AppArmorStore(settings.node_security_root, {name: apparmor.render()}, ())
    return AppArmorStore(settings.node_security_root, {}, (name,))
