"""What the node agent writes to the API server, as objects and patches. Pure.

Nothing is built where nothing differs: None means that there is nothing to write.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ringfence import names
from ringfence.node.pods import Json, SandboxPod
from ringfence.node.posture import Finding
from ringfence.node.reasons import NodeReason

LABEL_PREFIXES: Final = (f"seccomp.{names.GROUP}/", f"apparmor.{names.GROUP}/")
"""Labels of a Node below these belong to the node agent."""


@dataclass(frozen=True)
class NodeState:
    """What this node has."""

    agent_version: str
    cgroup_version: int
    seccomp_profiles: tuple[str, ...]
    app_armor_enabled: bool
    app_armor_profiles: tuple[str, ...]
    """Those in enforce mode."""
    problems: tuple[str, ...]
    """Why a profile is not in place."""


def timestamp(now: datetime) -> str:
    """Metav1.Time of a moment."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod_patch(pod: SandboxPod, found: Iterable[Finding], now: datetime) -> Json | None:
    """Patch of a Pod's status (strategic merge), if it says something else or is too old.

    The uid makes the API server refuse the patch for another Pod of the same name.
    """
    wanted = [_pod_condition(pod.conditions.get(f.layer), f, timestamp(now)) for f in found]
    if not any(_says_else(pod, condition) for condition in wanted):
        return None
    return {"metadata": {"uid": pod.uid}, "status": {"conditions": wanted}}


def _pod_condition(before: Json | None, found: Finding, now: str) -> Json:
    same = before is not None and before["status"] == found.state
    return {
        "type": found.layer,
        "status": found.state,
        "reason": found.reason.value,
        "message": found.message,
        "lastProbeTime": now,
        "lastTransitionTime": before["lastTransitionTime"] if before and same else now,
    }


def _says_else(pod: SandboxPod, wanted: Json) -> bool:
    """Whether the Pod says something else, or said the same before its agent was started."""
    before = pod.conditions.get(wanted["type"])
    if before is None or any(before.get(key) != wanted[key] for key in _SAID):
        return True
    started = pod.agent_started
    return started is not None and (before.get("lastProbeTime") or "") < started


_SAID: Final = ("status", "reason", "message")


def is_verified(pod: SandboxPod) -> bool:
    """Whether the Pod carries the word that all that must hold does hold."""
    return pod.conditions.get(names.POSTURE_VERIFIED, {}).get("status") == "True"


def node_labels(state: NodeState) -> dict[str, str]:
    """The labels of the Node that say what it has."""
    seccomp = {names.seccomp_label(p): names.SECCOMP_INSTALLED for p in state.seccomp_profiles}
    armor = {names.app_armor_label(p): names.APP_ARMOR_ENFORCED for p in state.app_armor_profiles}
    return seccomp | armor


def own_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Those labels of a Node that belong to the node agent."""
    return {key: value for key, value in labels.items() if key.startswith(LABEL_PREFIXES)}


def node_apply(name: str, labels: Mapping[str, str]) -> Json:
    """Server-side apply of the labels; one that is not named any more goes away."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": dict(labels)},
    }


def sandbox_node(node: Json) -> Json:
    """The SandboxNode of a Node, which goes away with it."""
    meta = node["metadata"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": meta["name"], "uid": meta["uid"]}
    return _sandbox_node(meta["name"]) | {
        "metadata": {"name": meta["name"], "ownerReferences": [owner]}
    }


def sandbox_node_status(name: str, state: NodeState, before: Json, now: datetime) -> Json:
    """The SandboxNode with its status; `before` is the condition that it has, or empty."""
    time = timestamp(now)
    status = {
        "renewTime": time,
        "agentVersion": state.agent_version,
        "cgroupVersion": state.cgroup_version,
        "seccompProfiles": list(state.seccomp_profiles),
        "appArmor": {
            "enabled": state.app_armor_enabled,
            "profiles": list(state.app_armor_profiles),
        },
        "conditions": [_installed(state, before, time)],
    }
    return _sandbox_node(name) | {"status": status}


def _installed(state: NodeState, before: Json, now: str) -> Json:
    good = not state.problems
    reason = NodeReason.INSTALLED if good else NodeReason.NOT_INSTALLED
    condition = {
        "type": names.PROFILES_INSTALLED,
        "status": "True" if good else "False",
        "reason": reason.value,
        "message": "; ".join(state.problems) or "every profile is in place and was verified",
    }
    same = before.get("status") == condition["status"]
    return condition | {"lastTransitionTime": before["lastTransitionTime"] if same else now}


def _sandbox_node(name: str) -> Json:
    return {
        "apiVersion": names.API_VERSION,
        "kind": "SandboxNode",
        "metadata": {"name": name},
    }
