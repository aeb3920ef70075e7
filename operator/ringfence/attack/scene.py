"""What is attacked, and what is known of it: plain data. Pure."""

from dataclasses import dataclass
from typing import Final

from ringfence import names
from ringfence.api import Json
from ringfence.attack.model import Limits
from ringfence.kinds import Container

NEIGHBOUR_PORT: Final = 8000
DOCUMENTATION_ADDRESS: Final = "203.0.113.10"
"""Of RFC 5737: nobody on the internet has it."""
READY_SECONDS: Final = 120.0
"""For Sandboxes to be Ready, on a node that is not slow."""


@dataclass(frozen=True)
class Plan:
    """What is attacked, and how."""

    namespace: str
    class_name: str | None = None
    pod: str | None = None
    """An existing Pod to attack instead of a Sandbox of our own."""
    container: str = names.AGENT_CONTAINER
    target: str = DOCUMENTATION_ADDRESS
    """Address outside of the cluster."""
    target_known: bool = False
    """Whether something is known to answer there."""
    keep: bool = False
    ready_seconds: float = READY_SECONDS


@dataclass(frozen=True)
class Scene:
    """What is known once everything runs."""

    attacker: Container
    neighbour: Container
    limits: Limits
    own: bool
    """Whether the attacker is a Sandbox of our own, whose workspace may be emptied."""
    node: str
    node_address: str
    neighbour_address: str
    neighbour_node: str
    marker: str
    target: str
    target_known: bool

    def for_probes(self) -> Json:
        """What the probes are told."""
        return {
            **self.limits._asdict(),
            "own": self.own,
            "spinSeconds": 2.0,
            "target": self.target,
            "targetKnown": self.target_known,
            "node": self.node_address,
            "neighbour": self.neighbour_address,
            "neighbourPort": NEIGHBOUR_PORT,
            "marker": self.marker,
        }
