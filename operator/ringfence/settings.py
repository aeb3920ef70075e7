"""Settings of the operator process, read once from its environment.

The only reader of the environment; everything else gets a Settings object.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ringfence.profiles.provider import Provider, profile_names

PREFIX: Final = "RINGFENCE_"


@dataclass(frozen=True)
class Settings:
    """What an installation fixes for all Sandboxes."""

    proxy_image: str
    """Image of the egress proxy sidecar."""
    operator_image: str
    """The operator's own image, for the guard and for the keeper of AWS credentials."""
    resolver: str
    """IPv4 address of the DNS server that the proxies ask."""
    dns_namespace: str = "kube-system"
    """Namespace of the cluster's DNS Pods, for the way out in NetworkPolicies."""
    dns_app: str = "kube-dns"
    """Value of the label k8s-app on the cluster's DNS Pods."""
    profiles_provider: str = Provider.BUILTIN
    """Who puts the profiles on the nodes."""
    seccomp_profile: str = field(default_factory=lambda: profile_names(Provider.BUILTIN).seccomp)
    """Seccomp profile of the agents, relative to the kubelet's seccomp directory."""
    app_armor_profile: str = field(
        default_factory=lambda: profile_names(Provider.BUILTIN).app_armor
    )
    """AppArmor profile of the agents, where the class names no other."""
    uid_first: int = 30000
    """First uid given to an agent."""
    uid_last: int = 64999
    """Last uid given to an agent. Below 65536, as a user namespace maps no more."""
    workers: int = 16
    """Sandboxes reconciled at the same time."""
    resync_seconds: float = 600.0
    """Time between two full passes over all Sandboxes."""
    metrics_port: int = 8080
    """TCP port of /metrics."""
    probe_port: int = 8081
    """TCP port of /healthz."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], resolv_conf: Path) -> "Settings":
        """Settings from RINGFENCE_* variables; the resolver falls back to the Pod's own.

        Raises:
            ValueError: A variable is missing or wrong; the message names it or what it holds.
        """
        given = {k.removeprefix(PREFIX).lower(): v for k, v in environment.items() if v}
        provider = given.get("profiles_provider", cls.profiles_provider)
        profiles = profile_names(
            provider, given.get("seccomp_profile", ""), given.get("app_armor_profile", "")
        )
        return cls(
            proxy_image=_required(given, "proxy_image"),
            operator_image=_required(given, "operator_image"),
            resolver=given.get("resolver") or _nameserver(resolv_conf),
            dns_namespace=given.get("dns_namespace", cls.dns_namespace),
            dns_app=given.get("dns_app", cls.dns_app),
            profiles_provider=provider,
            seccomp_profile=profiles.seccomp,
            app_armor_profile=profiles.app_armor,
            uid_first=_integer(given, "uid_first", cls.uid_first),
            uid_last=_integer(given, "uid_last", cls.uid_last),
            workers=_integer(given, "workers", cls.workers),
            resync_seconds=_integer(given, "resync_seconds", int(cls.resync_seconds)),
            metrics_port=_integer(given, "metrics_port", cls.metrics_port),
            probe_port=_integer(given, "probe_port", cls.probe_port),
        )


def _required(given: Mapping[str, str], name: str) -> str:
    if name not in given:
        message = f"{PREFIX}{name.upper()} is not set; the Helm chart sets it"
        raise ValueError(message)
    return given[name]


def _integer(given: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(given.get(name, default))
    except ValueError as error:
        message = f"{PREFIX}{name.upper()}={given[name]!r} is not a whole number"
        raise ValueError(message) from error


def _nameserver(resolv_conf: Path) -> str:
    """The cluster's DNS address as kubelet gave it to this Pod (ClusterFirst)."""
    for line in resolv_conf.read_text().splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1 and ":" not in words[1]:
            return words[1]
    message = f"{resolv_conf} names no IPv4 nameserver; set {PREFIX}RESOLVER"
    raise ValueError(message)
