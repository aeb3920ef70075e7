"""Objects that unit tests start from."""

from datetime import UTC, datetime
from typing import Any

from ringfence import names
from ringfence.api import Json, Sandbox, SandboxClass
from ringfence.policy import Effective, effective, with_app_armor
from ringfence.settings import Settings

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
SETTINGS = Settings(
    proxy_image="ringfence.dev/proxy:test",
    operator_image="ringfence.dev/operator:test",
    resolver="10.96.0.10",
)
ROLE = "arn:aws:iam::123456789012:role/agents/reader"


def sandbox(name: str = "demo", **spec: Any) -> Json:
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "Sandbox",
        "metadata": {
            "name": name,
            "namespace": "agents",
            "uid": f"uid-of-{name}",
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": spec,
        "status": {"observedGeneration": -1},
    }


def sandbox_class(name: str = "standard", *, default: bool = True, **spec: Any) -> Json:
    annotations = {"ringfence.dev/is-default-class": "true"} if default else {}
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "SandboxClass",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"images": {"default": "ringfence.dev/sandbox:test"}, **spec},
    }


def sandbox_node(
    name: str = "node-1",
    *,
    seccomp: tuple[str, ...] | None = None,
    app_armor: tuple[str, ...] = (),
    renewed: str = "2026-01-01T12:00:00Z",
) -> Json:
    """What the agent of a node writes; with today's seccomp profile unless told otherwise."""
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "SandboxNode",
        "metadata": {"name": name},
        "status": {
            "renewTime": renewed,
            "agentVersion": "0.1.0",
            "cgroupVersion": 2,
            "seccompProfiles": [SETTINGS.seccomp_profile] if seccomp is None else list(seccomp),
            "appArmor": {"enabled": bool(app_armor), "profiles": list(app_armor)},
            "conditions": [],
        },
    }


STARTED = "2026-01-01T11:59:59Z"
"""Start of the agent container of `running`."""
READ_BACK = {
    names.PROCESS_CONDITION: "uid 31234, no capability",
    names.NAMESPACES_CONDITION: "own ipc, mnt, net, pid, user, uts",
    names.SECCOMP_CONDITION: "filter mode",
    names.APP_ARMOR_CONDITION: "sandbox-agent enforce",
    names.NETWORK_CONDITION: "only the proxy leaves",
    names.RESOURCES_CONDITION: "pids 256 (container)",
    names.POSTURE_VERIFIED: "everything that must hold was read from the kernel",
}


def written(type_: str, status: str = "True", **changes: Any) -> Json:
    """A condition as the node agent writes it, right after the agent container started."""
    condition = {
        "type": type_,
        "status": status,
        "reason": "Verified",
        "message": READ_BACK[type_],
        "lastProbeTime": STARTED,
        "lastTransitionTime": STARTED,
    }
    return condition | changes


def running(*conditions: Json, started: str = STARTED) -> Json:
    """Status of a Pod that runs and is Ready for the kubelet."""
    scheduled, ready = ({"type": t, "status": "True"} for t in ("PodScheduled", "Ready"))
    agent = {"name": "agent", "state": {"running": {"startedAt": started}}}
    guard = {"name": "guard", "state": {"terminated": {"exitCode": 0}}}
    return {
        "phase": "Running",
        "conditions": [scheduled, ready, *conditions],
        "initContainerStatuses": [guard],
        "containerStatuses": [agent],
    }


def verified() -> list[Json]:
    """All that the node agent writes when everything holds."""
    return [written(type_) for type_ in READ_BACK]


def verified_behind_gateway() -> list[Json]:
    """The same for a Pod without a packet filter, which it then says."""
    unasked = written(names.NETWORK_CONDITION, "Unknown", reason="NotAskedFor")
    return [unasked if c["type"] == names.NETWORK_CONDITION else c for c in verified()]


def accepted(body: Json | None = None, rules: Json | None = None) -> Effective:
    parsed = SandboxClass.parse(rules or sandbox_class())
    wanted = effective(Sandbox.parse(body or sandbox()), parsed)
    required = parsed.spec.app_armor.mode == "Required"
    return with_app_armor(wanted, SETTINGS.app_armor_profile) if required else wanted
