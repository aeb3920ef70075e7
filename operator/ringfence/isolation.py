"""Says for each layer of defence what is in force, and never more than is known. Pure.

Until the node agent reads the kernel's own view, a layer is called Enforced only where the Pod
cannot run without it: the API server stored the setting, and the runtime refuses the container
where it cannot apply it.
"""

from typing import Final

from ringfence.api import LAYERS, Json, Layer, SandboxClassSpec
from ringfence.pod_state import has_ephemeral_container
from ringfence.status import IsolationReason, LayerState, LayerStatus

Isolation = dict[Layer, LayerStatus]

_RANK: Final[dict[LayerState, int]] = {"NotAvailable": 0, "Degraded": 1, "Enforced": 2}


def expected(rules: SandboxClassSpec) -> Isolation:
    """What a Pod of this class will have once it runs."""
    return {
        "process": _layer(
            "Enforced",
            IsolationReason.POD_HARDENED,
            "own uid, no root, no capability, no new privileges, read-only root, no token",
        ),
        "namespaces": _namespaces(rules),
        "seccomp": _layer(
            "Enforced",
            IsolationReason.POD_HARDENED,
            "own Localhost profile; the runtime refuses the container on a node without it",
        ),
        "appArmor": _app_armor(rules),
        "resources": _resources(rules),
        "network": _layer(
            "Degraded",
            IsolationReason.PROXY_NOT_FENCED,
            "NetworkPolicy and egress proxy are in place; a process that ignores the proxy reaches "
            "public addresses on the allowed ports",
        ),
        "audit": _layer("NotAvailable", IsolationReason.NOT_COLLECTED, "nothing is recorded"),
    }


def observed(rules: SandboxClassSpec, pod: Json | None) -> Isolation:
    """What the Sandbox has now."""
    if pod is None or pod.get("status", {}).get("phase") != "Running":
        missing = _layer("NotAvailable", IsolationReason.NOT_RUNNING, "there is no running Pod")
        return dict.fromkeys(LAYERS, missing)
    layers = expected(rules)
    if not has_ephemeral_container(pod):
        return layers
    intruder = _layer(
        "Degraded",
        IsolationReason.EPHEMERAL_CONTAINER,
        "a debug container is attached and runs without the agent's profiles; delete the Pod",
    )
    return {**layers, "process": intruder, "seccomp": intruder}


def below_minimum(rules: SandboxClassSpec) -> list[str]:
    """What keeps a Pod of this class from the state that the class itself demands."""
    layers = expected(rules)
    return [
        f"{layer} would be {layers[layer].state} ({layers[layer].message}), "
        f"the class demands {minimum}"
        for layer, minimum in rules.minimum_isolation.items()
        if _RANK[layers[layer].state] < _RANK[minimum]
    ]


def _layer(state: LayerState, reason: IsolationReason, message: str) -> LayerStatus:
    return LayerStatus(state=state, reason=reason.value, message=message)


def _namespaces(rules: SandboxClassSpec) -> LayerStatus:
    own = "own pid, mount, network, ipc and uts namespaces"
    if rules.user_namespaces == "Enabled":
        message = f"{own}, and a user namespace: root inside is nobody on the node"
        return _layer("Enforced", IsolationReason.POD_HARDENED, message)
    return _layer("Degraded", IsolationReason.NO_USER_NAMESPACE, f"{own}; no user namespace")


def _resources(rules: SandboxClassSpec) -> LayerStatus:
    pids = "pids only where the kubelet sets podPidsLimit"
    if rules.storage.mode == "Hard":
        disk = "disk is a volume of its own, as hard as its StorageClass makes it"
        message = f"cpu and memory are hard; {disk}; {pids}"
        return _layer("Degraded", IsolationReason.PIDS_NOT_LIMITED, message)
    message = f"cpu and memory are hard; disk is enforced by eviction; {pids}"
    return _layer("Degraded", IsolationReason.SOFT_LIMITS, message)


def _app_armor(rules: SandboxClassSpec) -> LayerStatus:
    mode, profile = rules.app_armor.mode, rules.app_armor.profile
    if mode == "Required":
        message = f"profile {profile}; the runtime refuses the container on a node without it"
        return _layer("Enforced", IsolationReason.POD_HARDENED, message)
    if mode == "Disabled":
        return _layer("NotAvailable", IsolationReason.DISABLED_BY_CLASS, "appArmor.mode: Disabled")
    return _layer(
        "NotAvailable",
        IsolationReason.NOT_DETECTED,
        "appArmor.mode is Auto and no node is known to have the profile",
    )
