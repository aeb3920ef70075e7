"""The book of the nodes: what each node agent last wrote, and whether it still writes.

Only the operator's own clock counts: an agent lives as long as its renewTime changes, whatever
time it says. Who has not been heard yet counts as alive until the patience is over, so that a
restart of the operator changes nothing. Not thread-safe: one event loop owns it.
"""

from collections.abc import Callable, Iterable
from typing import Final

from ringfence.api import Json
from ringfence.nodes import Nodes, NodeView, view

PATIENCE_SECONDS: Final = 40.0
"""Four heartbeats."""


class Heartbeats:
    """Nodes by name, and when the heartbeat of each was last seen to change."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """An empty book.

        Args:
            clock: Seconds of a clock that is never set back.
        """
        self._clock = clock
        self._nodes: Nodes = {}
        self._renewed: dict[str, object] = {}
        self._heard: dict[str, float] = {}

    @property
    def nodes(self) -> Nodes:
        """All nodes as they are now; what is handed out never changes afterwards."""
        return self._nodes

    def enter(self, body: Json) -> bool:
        """Notes what an agent wrote; True if the node is now another than before."""
        name: str = body["metadata"]["name"]
        renewed = (body.get("status") or {}).get("renewTime")
        beats = name not in self._nodes or self._renewed[name] != renewed
        if beats:
            self._renewed[name] = renewed
            self._heard[name] = self._clock()
        return self._put(name, view(body, live=beats or self._nodes[name].live))

    def forget(self, name: str) -> bool:
        """Drops a node that is gone; True if it was known."""
        known = name in self._nodes
        self._nodes = {n: node for n, node in self._nodes.items() if n != name}
        self._renewed.pop(name, None)
        self._heard.pop(name, None)
        return known

    def replace(self, bodies: Iterable[Json]) -> list[str]:
        """Makes the book equal to a full list; the names of the nodes that changed by that."""
        listed = {body["metadata"]["name"]: body for body in bodies}
        gone = [name for name in self._nodes if name not in listed and self.forget(name)]
        return gone + [name for name, body in listed.items() if self.enter(body)]

    def overdue(self) -> list[str]:
        """Nodes that count as live although their agent has been silent for too long."""
        since = self._clock() - PATIENCE_SECONDS
        return [n for n, node in self._nodes.items() if node.live and self._heard[n] <= since]

    def lose(self, name: str) -> None:
        """Gives an agent up; the next change of its renewTime brings it back."""
        self._put(name, self._nodes[name]._replace(live=False))

    def _put(self, name: str, node: NodeView) -> bool:
        if self._nodes.get(name) == node:
            return False
        self._nodes = {**self._nodes, name: node}
        return True
