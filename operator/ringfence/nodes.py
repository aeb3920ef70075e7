"""What is known about the nodes: whose agent lives, and which profiles each one has. Pure.

It answers questions about a set of nodes; when an agent counts as lost is decided in
heartbeats.py, what follows from it for a Sandbox in readiness.py and isolation.py.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from ringfence import names
from ringfence.api import Json

WAY_OUT: Final = (
    "kubectl get sandboxnodes -o wide; "
    "kubectl get daemonsets -A -l app.kubernetes.io/part-of=ringfence"
)
"""Ends the message of whatever a node agent has to do with."""


class NodeView(NamedTuple):
    """One node, as its agent last described it."""

    live: bool
    """The agent's heartbeat goes on."""
    seccomp: frozenset[str]
    """Profiles in place, each as a Pod names it."""
    app_armor: frozenset[str]
    """Profiles in enforce mode."""


Nodes = Mapping[str, NodeView]


class Profiles(NamedTuple):
    """The profiles that a Pod names."""

    seccomp: str
    app_armor: str | None

    def __str__(self) -> str:
        """For messages."""
        also = f" and AppArmor profile {self.app_armor}" if self.app_armor else ""
        return f"seccomp profile {self.seccomp}{also}"


def view(sandbox_node: Json, *, live: bool) -> NodeView:
    """The node that a SandboxNode describes; what is missing or misshapen counts as absent."""
    status = _map(sandbox_node.get("status"))
    app_armor = _map(status.get("appArmor"))
    return NodeView(live, _texts(status.get("seccompProfiles")), _texts(app_armor.get("profiles")))


def profiles_of(pod: Json) -> Profiles:
    """The profiles that the agent container of a Pod names."""
    containers = pod["spec"].get("containers", [])
    agent: Json = next((c for c in containers if c["name"] == names.AGENT_CONTAINER), {})
    context = _map(agent.get("securityContext"))
    seccomp = _map(context.get("seccompProfile")).get("localhostProfile", "")
    app_armor = _map(context.get("appArmorProfile"))
    localhost = app_armor.get("type") == "Localhost"
    return Profiles(seccomp, app_armor.get("localhostProfile") if localhost else None)


def has(node: NodeView, wanted: Profiles) -> bool:
    """True if the node has all that a Pod names."""
    confined = wanted.app_armor is None or wanted.app_armor in node.app_armor
    return wanted.seccomp in node.seccomp and confined


def any_has(nodes: Nodes, wanted: Profiles) -> bool:
    """True if a Pod could start on one of the nodes whose agent lives."""
    return any(node.live and has(node, wanted) for node in nodes.values())


def all_confine(nodes: Nodes, seccomp: str, app_armor: str) -> bool:
    """True if every live node that a Pod could run on has the AppArmor profile, too."""
    possible = [node for node in nodes.values() if node.live and seccomp in node.seccomp]
    return bool(possible) and all(app_armor in node.app_armor for node in possible)


def is_live(nodes: Nodes, name: str | None) -> bool:
    """True if the agent of this node lives."""
    return name is not None and name in nodes and nodes[name].live


def _map(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> frozenset[str]:
    found = value if isinstance(value, list) else []
    return frozenset(text for text in found if isinstance(text, str))
