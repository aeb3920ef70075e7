"""Settings of the node agent, read once from its environment; the only reader of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringfence.profiles.provider import ProfileNames, Provider, node_agent_installs, profile_names

PREFIX: Final = "RINGFENCE_"


@dataclass(frozen=True)
class NodeSettings:
    """What an installation fixes for all node agents, and who this one is."""

    node_name: str
    """Name of the Node."""
    node_pod_uid: str
    """uid of the node agent's own Pod, by which it finds the cgroups of its kubelet."""
    profiles: ProfileNames
    """What Pods call the profiles."""
    installs: bool = True
    """Whether the node agent puts them in place; if not, it only verifies them."""
    node_seccomp_root: Path = Path("/host/seccomp")
    """The kubelet's `<root-dir>/seccomp` as seen from here."""
    node_cgroup_root: Path = Path("/host/cgroup")
    """The node's /sys/fs/cgroup as seen from here."""
    node_security_root: Path = Path("/host/security")
    """The node's /sys/kernel/security as seen from here."""
    node_scan_seconds: float = 10.0
    """Time between two full looks at everything; whatever happens in between is noticed at once."""
    node_heartbeat_seconds: float = 10.0
    """Time between two renewals of the SandboxNode."""
    node_unused_seconds: float = 3600.0
    """How long a profile of another release must be unused before its file is removed."""
    node_port: int = 8082
    """TCP port of /healthz, /readyz and /metrics."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "NodeSettings":
        """Settings from RINGFENCE_* variables.

        Raises:
            ValueError: A variable is missing or wrong; the message names it.
        """
        given = {k.removeprefix(PREFIX).lower(): v for k, v in environment.items() if v}
        provider = given.get("profiles_provider", Provider.BUILTIN)
        return cls(
            node_name=_required(given, "node_name"),
            node_pod_uid=_required(given, "node_pod_uid"),
            profiles=profile_names(
                provider, given.get("seccomp_profile", ""), given.get("app_armor_profile", "")
            ),
            installs=node_agent_installs(provider),
            node_seccomp_root=Path(given.get("node_seccomp_root", cls.node_seccomp_root)),
            node_cgroup_root=Path(given.get("node_cgroup_root", cls.node_cgroup_root)),
            node_security_root=Path(given.get("node_security_root", cls.node_security_root)),
            node_scan_seconds=_above_0(given, "node_scan_seconds", cls.node_scan_seconds),
            node_heartbeat_seconds=_above_0(
                given, "node_heartbeat_seconds", cls.node_heartbeat_seconds
            ),
            node_unused_seconds=_above_0(given, "node_unused_seconds", cls.node_unused_seconds),
            node_port=int(_above_0(given, "node_port", cls.node_port)),
        )


def _required(given: Mapping[str, str], name: str) -> str:
    if name not in given:
        message = f"{PREFIX}{name.upper()} is not set; the Helm chart sets it"
        raise ValueError(message)
    return given[name]


def _above_0(given: Mapping[str, str], name: str, default: float) -> float:
    try:
        value = float(given.get(name, default))
    except ValueError:
        value = 0.0
    if value <= 0:
        message = f"{PREFIX}{name.upper()}={given[name]!r} is no number above 0"
        raise ValueError(message)
    return value
