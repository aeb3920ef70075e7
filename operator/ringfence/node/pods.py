"""What the Pod of a Sandbox is meant to be, read from its object. Pure.

Only fields that nobody can change after the creation count; the API server lets only the operator
create such a Pod. Nothing here says what the Pod really is: that is the kernel's word.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

from ringfence import names

Json = dict[str, Any]

_LAST_PORT: Final = 65535
_IO_KEYS: Final = {
    "readBytesPerSecond": "read_bytes",
    "writeBytesPerSecond": "write_bytes",
    "readOperationsPerSecond": "read_operations",
    "writeOperationsPerSecond": "write_operations",
}


@dataclass(frozen=True)
class IoLimits:
    """Limits per second on the disk of /work; None: unlimited."""

    read_bytes: int | None = None
    write_bytes: int | None = None
    read_operations: int | None = None
    write_operations: int | None = None


@dataclass(frozen=True)
class Limits:
    """What the node agent enforces itself."""

    pids: int
    disk_bytes: int
    io: IoLimits | None = None


@dataclass(frozen=True)
class Fence:
    """What the proxy may reach from inside the Pod's network namespace; all else is refused."""

    resolver: str | None = None
    """IPv4 address of the DNS server. None: no DNS."""
    ports: frozenset[int] = frozenset()
    """TCP ports at public addresses."""


@dataclass(frozen=True)
class SandboxPod:
    """The Pod of one Sandbox on this node."""

    uid: str
    namespace: str
    name: str
    limits: Limits | None
    """None: the Pod does not say them in a form that can be read."""
    fence: Fence | None
    """None: the Pod asks for none. What cannot be read is a fence without any way out."""
    agent_uid: int | None
    user_namespace: bool
    seccomp_profile: str | None
    app_armor_profile: str | None
    ended: bool
    agent_started: str | None
    """When the kubelet saw the running agent container start, RFC 3339."""
    conditions: Mapping[str, Json]
    """The conditions that the node agent wrote, by type."""


def sandbox_pod(body: Json) -> SandboxPod:
    """The Pod in `body`."""
    spec, status, meta = body["spec"], body.get("status", {}), body["metadata"]
    agent = _named(spec.get("containers", []), names.AGENT_CONTAINER)
    inits = spec.get("initContainers", [])
    context = agent.get("securityContext", {})
    return SandboxPod(
        uid=meta["uid"],
        namespace=meta["namespace"],
        name=meta["name"],
        limits=_limits(inits),
        fence=_fence(_named(inits, names.PROXY_CONTAINER)),
        agent_uid=context.get("runAsUser"),
        user_namespace=spec.get("hostUsers") is False,
        seccomp_profile=_localhost(context.get("seccompProfile")),
        app_armor_profile=_localhost(context.get("appArmorProfile")),
        ended=status.get("phase") in ("Succeeded", "Failed"),
        agent_started=_started(_named(status.get("containerStatuses", []), names.AGENT_CONTAINER)),
        conditions={c["type"]: c for c in _own_conditions(status)},
    )


def profiles_in_use(pods: Iterable[SandboxPod]) -> frozenset[str]:
    """The seccomp files that a container of these Pods may still be started with."""
    return frozenset(p.seccomp_profile for p in pods if p.seccomp_profile and not p.ended)


def _named(entries: Iterable[Json], name: str) -> Json:
    return next((entry for entry in entries if entry["name"] == name), {})


def _localhost(profile: Json | None) -> str | None:
    found = profile if profile and profile.get("type") == "Localhost" else {}
    name: str | None = found.get("localhostProfile")
    return name


def _started(container: Json) -> str | None:
    running = container.get("state", {}).get("running") or {}
    started: str | None = running.get("startedAt")
    return started


def _own_conditions(status: Json) -> Iterable[Json]:
    return (c for c in status.get("conditions", []) if c["type"].startswith(f"{names.GROUP}/"))


def _limits(inits: Iterable[Json]) -> Limits | None:
    """From the proxy or, where that has a Pod of its own, from the guard."""
    ours = (_named(inits, name) for name in (names.PROXY_CONTAINER, names.GUARD_CONTAINER))
    found = (_named(container.get("env", []), names.LIMITS_VARIABLE) for container in ours)
    variable = next((variable for variable in found if variable), {})
    try:
        return _parsed_limits(json.loads(variable.get("value", "")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _parsed_limits(given: Json) -> Limits:
    io = {
        field: _positive(given["io"][key])
        for key, field in _IO_KEYS.items()
        if key in given.get("io", {})
    }
    return Limits(
        pids=_positive(given["pids"]),
        disk_bytes=_positive(given["diskBytes"]),
        io=IoLimits(**io) if io else None,
    )


def _fence(proxy: Json) -> Fence | None:
    text = _named(proxy.get("env", []), names.FENCE_VARIABLE).get("value")
    if text is None:
        return None
    try:
        given = json.loads(text)
        ports = frozenset(_port(port) for port in given["ports"])
        return Fence(str(IPv4Address(given["resolver"])), ports)
    except (ValueError, TypeError, KeyError):
        return Fence()


def _port(value: object) -> int:
    port = _positive(value)
    if port > _LAST_PORT:
        message = f"{port} is no port"
        raise ValueError(message)
    return port


def _positive(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        message = f"{value!r} is no whole number above 0"
        raise ValueError(message)
    return value
