"""Says for each layer of defence what is in force, and never more than is known. Pure.

`expected` is what a Pod promises, `observed` what it keeps: for the layers that the node agent
reads back from the kernel, the lesser of the promise and of what was found.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from ringfence import fences, nodes, posture
from ringfence.api import LAYERS, Json, Layer, MinimumState, SandboxClassSpec
from ringfence.nodes import Nodes
from ringfence.pod_state import has_ephemeral_container, has_gateway, is_proven
from ringfence.status import IsolationReason, LayerState, LayerStatus

Isolation = dict[Layer, LayerStatus]

_RANK: Final[dict[LayerState, int]] = {"NotAvailable": 0, "Degraded": 1, "Enforced": 2}


def expected(rules: SandboxClassSpec, app_armor: str | None, *, gateway: bool) -> Isolation:
    """What a Pod of this class will have once it runs.

    Args:
        rules: Spec of the class.
        app_armor: The AppArmor profile that the Pod names, if it does.
        gateway: Whether its proxy has a Pod of its own.
    """
    layers: Isolation = {
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
        "appArmor": _app_armor(rules, app_armor),
        "resources": _resources(rules),
        "network": _network(rules, gateway=gateway),
        "audit": _layer("NotAvailable", IsolationReason.NOT_COLLECTED, "nothing is recorded"),
    }
    if rules.runtime_class_name:
        return layers | _opaque(layers, rules.runtime_class_name, gateway=gateway)
    return layers


def observed(
    rules: SandboxClassSpec,
    pod: Json | None,
    known: Nodes,
    now: datetime,
    widened: Collection[str] = (),
) -> Isolation:
    """What the Sandbox has now.

    Args:
        rules: Spec of the class.
        pod: The Pod, if there is one.
        known: What is known about the nodes.
        now: The time of the operator.
        widened: Foreign NetworkPolicies that open what the Sandbox's own closes.
    """
    if pod is None or pod.get("status", {}).get("phase") != "Running":
        missing = _layer("NotAvailable", IsolationReason.NOT_RUNNING, "there is no running Pod")
        return dict.fromkeys(LAYERS, missing)
    gateway = has_gateway(pod)
    layers = expected(rules, nodes.profiles_of(pod).app_armor, gateway=gateway)
    if not posture.is_opaque(pod):
        layers |= _read_back(layers, pod, known, now)
    if gateway and not is_proven(pod):
        layers |= {"network": _UNPROVEN}
    if widened:
        layers |= {"network": _lesser(layers["network"], widened_layer(widened))}
    if not has_ephemeral_container(pod):
        return layers
    intruder = _layer(
        "Degraded",
        IsolationReason.EPHEMERAL_CONTAINER,
        "a debug container is attached and runs without the agent's profiles; delete the Pod",
    )
    return {**layers, "process": intruder, "seccomp": intruder}


def widened_layer(policies: Collection[str]) -> LayerStatus:
    """The network of a Pod that foreign NetworkPolicies open."""
    return _layer("Degraded", IsolationReason.POLICY_WIDENED, fences.widened_message(policies))


def below_minimum(rules: SandboxClassSpec, app_armor: str | None) -> list[str]:
    """What keeps a Pod of this class from the state that the class itself demands."""
    promised = expected(rules, app_armor, gateway=rules.egress.mode == "Gateway")
    return _below(rules.minimum_isolation, promised, "would be")


def found_below_minimum(
    rules: SandboxClassSpec, pod: Json, now: datetime, widened: Collection[str] = ()
) -> list[str]:
    """What was found to be less than the class demands."""
    read = posture.layers(pod, now)
    found = {layer: state for layer, state in read.items() if layer in _read_layers(pod)}
    if widened:
        found |= {"network": widened_layer(widened)}
    return _below(rules.minimum_isolation, found, "is")


def _below(minimum: dict[Layer, MinimumState], layers: Isolation, verb: str) -> list[str]:
    return [
        f"{layer} {verb} {layers[layer].state} ({layers[layer].message}), the class demands {least}"
        for layer, least in minimum.items()
        if layer in layers and _RANK[layers[layer].state] < _RANK[least]
    ]


def _read_back(promised: Isolation, pod: Json, known: Nodes, now: datetime) -> Isolation:
    """The layers that are read back and were promised at all."""
    due = [name for name in _read_layers(pod) if promised[name].state != "NotAvailable"]
    node = pod["spec"].get("nodeName", "")
    if not nodes.is_live(known, node):
        message = (
            f"the node agent of {node} has stopped: nobody sees whether this layer still holds; "
            f"{nodes.WAY_OUT}"
        )
        return dict.fromkeys(due, _layer("Degraded", IsolationReason.NODE_AGENT_LOST, message))
    found = posture.layers(pod, now)
    return {layer: _lesser(promised[layer], found.get(layer, _UNSEEN)) for layer in due}


def _read_layers(pod: Json) -> list[Layer]:
    """Layers that the node agent answers for: no packet filter fences a Pod behind a gateway."""
    gateway = has_gateway(pod)
    return [layer for layer in posture.LAYER_CONDITIONS if not gateway or layer != "network"]


def _lesser(promised: LayerStatus, found: LayerStatus) -> LayerStatus:
    return found if _RANK[found.state] <= _RANK[promised.state] else promised


def _layer(state: LayerState, reason: IsolationReason, message: str) -> LayerStatus:
    return LayerStatus(state=state, reason=reason.value, message=message)


_UNSEEN: Final = _layer(
    "Degraded",
    IsolationReason.NOT_VERIFIED,
    "asked for in the Pod; the node agent has not read it from the kernel yet",
)


_UNPROVEN: Final = _layer(
    "Degraded",
    IsolationReason.NOT_VERIFIED,
    "NetworkPolicy asks for the egress gateway alone; no guard has proven it",
)


def _opaque(layers: Isolation, runtime: str, *, gateway: bool) -> Isolation:
    """Settings reach another runtime, but what it makes of them cannot be read on the node.

    The fence of a gateway is not the runtime's, and its guard looks from inside.
    """
    hidden = _layer(
        "Degraded",
        IsolationReason.OTHER_RUNTIME,
        f"asked for in the Pod; runtimeClassName {runtime} keeps it out of the node's sight",
    )
    kept = {"network"} if gateway else set()
    due = [n for n in posture.LAYER_CONDITIONS if layers[n].state == "Enforced" and n not in kept]
    return dict.fromkeys(due, hidden)


def _namespaces(rules: SandboxClassSpec) -> LayerStatus:
    own = "own pid, mount, network, ipc and uts namespaces"
    if rules.user_namespaces == "Enabled":
        message = f"{own}, and a user namespace: root inside is nobody on the node"
        return _layer("Enforced", IsolationReason.POD_HARDENED, message)
    return _layer("Degraded", IsolationReason.NO_USER_NAMESPACE, f"{own}; no user namespace")


def _resources(rules: SandboxClassSpec) -> LayerStatus:
    hard = "cpu, memory and pids are hard"
    if rules.storage.mode == "Hard":
        message = f"{hard}; disk is a volume of its own, as hard as its StorageClass makes it"
        return _layer("Enforced", IsolationReason.POD_HARDENED, message)
    message = f"{hard}; disk is enforced by eviction"
    return _layer("Degraded", IsolationReason.SOFT_LIMITS, message)


def _network(rules: SandboxClassSpec, *, gateway: bool) -> LayerStatus:
    if gateway:
        message = (
            "NetworkPolicy lets the Pod reach its egress gateway alone; before the agent started, "
            "the guard found API server, kubelet and DNS closed and the gateway open"
        )
        return _layer("Enforced", IsolationReason.GATEWAY_FENCED, message)
    placed = "NetworkPolicy and egress proxy are in place"
    if rules.runtime_class_name:
        message = f"{placed}; a process that ignores the proxy reaches public addresses directly"
        return _layer("Degraded", IsolationReason.PROXY_NOT_FENCED, message)
    message = f"{placed}, and a packet filter in the Pod lets only the proxy leave"
    return _layer("Enforced", IsolationReason.POD_HARDENED, message)


def _app_armor(rules: SandboxClassSpec, asked: str | None) -> LayerStatus:
    if asked:
        message = f"profile {asked}; the runtime refuses the container on a node without it"
        return _layer("Enforced", IsolationReason.POD_HARDENED, message)
    if rules.app_armor.mode == "Disabled":
        return _layer("NotAvailable", IsolationReason.DISABLED_BY_CLASS, "appArmor.mode: Disabled")
    return _layer(
        "NotAvailable",
        IsolationReason.NOT_DETECTED,
        "appArmor.mode is Auto and not every node that takes Sandboxes had the profile when the "
        "Pod was made",
    )
