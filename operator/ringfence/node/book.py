"""The Sandbox Pods of this node as they were last seen. Pure."""

from dataclasses import dataclass

from ringfence.node.pods import Json, SandboxPod, profiles_in_use, sandbox_pod


@dataclass(frozen=True)
class Listed:
    """All Pods there are now; what is not among them is gone."""

    pods: tuple[Json, ...]


@dataclass(frozen=True)
class Seen:
    """A Pod is new or changed."""

    pod: Json


@dataclass(frozen=True)
class Gone:
    """A Pod is no more."""

    uid: str


PodEvent = Listed | Seen | Gone


class Book:
    """All Sandbox Pods of the node, by uid."""

    def __init__(self) -> None:
        self.pods: dict[str, SandboxPod] = {}
        self.complete = False
        """Whether all Pods were listed at least once."""

    def note(self, event: PodEvent) -> list[str]:
        """Takes over what was seen; returns the uids that are worth a look."""
        if isinstance(event, Gone):
            self.pods.pop(event.uid, None)
            return []
        if not isinstance(event, Listed):
            return [self._take(event.pod)]
        self.pods = {}
        self.complete = True
        return [self._take(body) for body in event.pods]

    def _take(self, body: Json) -> str:
        pod = sandbox_pod(body)
        self.pods[pod.uid] = pod
        return pod.uid

    def update(self, body: Json) -> None:
        """Takes over the answer to a write, unless the Pod has gone meanwhile."""
        if body["metadata"]["uid"] in self.pods:
            self._take(body)

    def profiles_in_use(self) -> frozenset[str] | None:
        """The seccomp files that these Pods need; None: not all Pods are known yet."""
        return profiles_in_use(self.pods.values()) if self.complete else None
