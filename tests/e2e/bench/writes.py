"""Counts the operator's writes in the API server's own audit log."""

import json
from collections import Counter

from cluster import Cluster

OPERATOR = "system:serviceaccount:ringfence-system:ringfence-operator"
_VERBS = {"create", "update", "patch", "delete"}


class WriteCount:
    """Writes of the operator in one namespace since this object was made."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._namespace = namespace
        self._log = cluster.state / "audit.log"
        self._start = self._log.stat().st_size

    def by_verb(self) -> Counter[str]:
        """`verb resource[/subresource]` to how often."""
        found: Counter[str] = Counter()
        with self._log.open("rb") as log:
            log.seek(self._start)
            for line in log:
                if entry := _write_of(json.loads(line), self._namespace):
                    found[entry] += 1
        return found


def _write_of(event: dict[str, object], namespace: str) -> str | None:
    user, target = event["user"], event.get("objectRef")
    if not isinstance(user, dict) or not isinstance(target, dict):
        return None
    ours = user["username"] == OPERATOR and event["stage"] == "ResponseComplete"
    if not ours or event["verb"] not in _VERBS or target.get("namespace") != namespace:
        return None
    subresource = f"/{target['subresource']}" if target.get("subresource") else ""
    return f"{event['verb']} {target['resource']}{subresource}"
