"""Says in the API what this node has: the SandboxNode, its heartbeat, the Node's labels. I/O.

Labels are written only when they differ from what the Node carries.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from ringfence import names
from ringfence.node import report
from ringfence.node.api import ApiError, Client, Json
from ringfence.node.report import NodeState

_NOT_FOUND: Final = 404
_NODE_SECONDS: Final = 60.0
"""How often the Node is read: somebody may have made it anew."""


class Publisher:
    """Keeps the two objects of one node up to date."""

    def __init__(
        self,
        name: str,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._clock = clock
        self._monotonic = monotonic
        self._condition: Json = {}
        self._node: Json = {}
        self._read_at = -_NODE_SECONDS

    def publish(self, client: Client, state: NodeState) -> NodeState:
        """Writes the labels, if they differ, and the heartbeat; returns what was said.

        Raises:
            ApiError: The API server refused.
            Unreachable: No answer.
        """
        # Labels first: they decide where new Pods go.
        self._write_labels(client, report.node_labels(state))
        body = report.sandbox_node_status(self._name, state, self._condition, self._clock())
        path = f"/apis/{names.API_VERSION}/sandboxnodes/{self._name}"
        try:
            answer = client.apply(f"{path}/status", names.NODE_FIELD_MANAGER, body)
        except ApiError as error:
            if error.code != _NOT_FOUND:
                raise
            client.apply(path, names.NODE_FIELD_MANAGER, report.sandbox_node(self._node))
            answer = client.apply(f"{path}/status", names.NODE_FIELD_MANAGER, body)
        self._condition = answer["status"]["conditions"][0]
        return state

    def _write_labels(self, client: Client, wanted: dict[str, str]) -> None:
        path = f"/api/v1/nodes/{self._name}"
        if self._monotonic() - self._read_at >= _NODE_SECONDS:
            self._node = _trimmed(client.get(path))
            self._read_at = self._monotonic()
        if report.own_labels(self._node["metadata"]["labels"]) == wanted:
            return
        body = report.node_apply(self._name, wanted)
        self._node = _trimmed(client.apply(path, names.NODE_FIELD_MANAGER, body))


def _trimmed(node: Json) -> Json:
    """The Node without what is not needed here; its list of images alone is long."""
    meta = node["metadata"]
    return {
        "metadata": {
            "name": meta["name"],
            "uid": meta["uid"],
            "labels": meta.get("labels", {}),
        }
    }
