"""The book of the NetworkPolicies that belong to no Sandbox, learnt from watch events.

Not thread-safe: one event loop owns it.
"""

from collections.abc import Iterable

from ringfence.api import Json


class PolicyBook:
    """Foreign NetworkPolicies by namespace: only what decisions read of them."""

    def __init__(self) -> None:
        self._policies: dict[str, dict[str, Json]] = {}

    def of_namespace(self, namespace: str) -> tuple[Json, ...]:
        """All of one namespace."""
        return tuple(self._policies.get(namespace, {}).values())

    def enter(self, body: Json) -> bool:
        """Notes a policy; True if what it allows is now something else."""
        meta = body["metadata"]
        kept = {"metadata": {"name": meta["name"]}, "spec": body["spec"]}
        known = self._policies.setdefault(meta["namespace"], {})
        changed = known.get(meta["name"]) != kept
        known[meta["name"]] = kept
        return changed

    def forget(self, body: Json) -> bool:
        """Drops a policy that is gone; True if it was known."""
        meta = body["metadata"]
        known = self._policies.get(meta["namespace"], {})
        found = known.pop(meta["name"], None) is not None
        if not known:
            self._policies.pop(meta["namespace"], None)
        return found

    def replace(self, bodies: Iterable[Json]) -> None:
        """Makes the book equal to a full list."""
        self._policies = {}
        for body in bodies:
            self.enter(body)
