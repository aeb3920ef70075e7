"""The packet filters of all Sandbox Pods of the node: there before the Pod's programs are. I/O.

Level-triggered: each look compares what is with what should be. A filter that somebody changed is
put in place again, in one transaction; until then whatever it lets through is its maker's doing,
for nobody inside a Sandbox can change it.
"""

import logging
import select
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from ringfence.node import fence
from ringfence.node.fence import Destination
from ringfence.node.pods import SandboxPod

INOTIFY_INSTANCES: Final = 16
"""For each uid of a Pod: file watchers take one to four each, the egress proxy two."""

_log = logging.getLogger(__name__)


class Filter(Protocol):
    """What a PacketFilter offers."""

    def fileno(self) -> int:
        """Readable when the rules were changed."""

    def install(self, rules: str) -> None:
        """Puts the rules in place."""

    def is_intact(self) -> bool:
        """Whether nobody changed them since."""

    def refused_packets(self) -> int:
        """How many packets were refused."""

    def refused(self) -> Mapping[Destination, int]:
        """Refused packets by destination."""

    def close(self) -> None:
        """Lets go of it."""


@dataclass(frozen=True)
class Kernel:
    """How filters and limits come to be; replaced in tests."""

    open_filter: Callable[[int, str], Filter | None]
    """Takes a process and the identity of its network namespace; None: it is not there any more."""
    limit_inotify: Callable[[int, int], None]
    """Takes a process in a user namespace, and the limit."""


@dataclass
class _Fenced:
    filter: Filter
    packets: int = 0
    refused: dict[Destination, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Repairs:
    """What a look did."""

    installed: int = 0
    repaired: int = 0


class Fences:
    """The filters of one node."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._fenced: dict[tuple[str, str], _Fenced] = {}
        """By uid of the Pod and identity of the network namespace."""
        self._limited: set[tuple[str, str]] = set()
        """By uid of the Pod and identity of the user namespace."""
        self._changed = select.epoll()

    def fileno(self) -> int:
        """Readable when somebody changed the rules of any Pod."""
        return self._changed.fileno()

    def changes(self) -> set[str]:
        """Uids of the Pods whose rules were changed."""
        ready = {descriptor for descriptor, _ in self._changed.poll(0)}
        pods = self._fenced.items()
        return {uid for (uid, _), fenced in pods if fenced.filter.fileno() in ready}

    def is_fenced(self, uid: str, namespace: str) -> bool:
        """Whether the filter is in place in this network namespace of this Pod."""
        return (uid, namespace) in self._fenced

    def care(self, pod: SandboxPod, networks: Mapping[str, int]) -> Repairs:
        """Puts filters where they are missing or changed, and forgets those that have gone.

        Args:
            pod: What the Pod asks for.
            networks: Every network namespace of the Pod, and a process in it.
        """
        if pod.fence is None:
            return Repairs()
        rules = fence.ruleset(pod.fence)
        gone = [key for key in self._fenced if key[0] == pod.uid and key[1] not in networks]
        self._drop(gone)
        installed = [self._install(pod, name, pid, rules) for name, pid in networks.items()]
        repaired = [self._repair(pod, name, rules) for name in networks]
        return Repairs(sum(installed), sum(repaired))

    def limit(self, pod: SandboxPod, users: Mapping[str, int]) -> None:
        """Bounds what the Pod takes of the node's inotify instances.

        Args:
            pod: The Pod.
            users: Every user namespace of the Pod, and a process in it.
        """
        for name, pid in users.items():
            if (pod.uid, name) not in self._limited:
                self._kernel.limit_inotify(pid, INOTIFY_INSTANCES)
                self._limited.add((pod.uid, name))

    def _install(self, pod: SandboxPod, name: str, pid: int, rules: str) -> bool:
        if (pod.uid, name) in self._fenced:
            return False
        opened = self._kernel.open_filter(pid, name)
        if opened is None:
            return False
        opened.install(rules)
        self._changed.register(opened.fileno(), select.EPOLLIN)
        self._fenced[pod.uid, name] = _Fenced(opened)
        return True

    def _repair(self, pod: SandboxPod, name: str, rules: str) -> bool:
        fenced = self._fenced.get((pod.uid, name))
        if fenced is None or fenced.filter.is_intact():
            return False
        _log.warning("Pod %s/%s: packet filter was changed", pod.namespace, pod.name)
        fenced.filter.install(rules)
        return True

    def keep(self, uids: Collection[str]) -> None:
        """Forgets the Pods that are not among these."""
        self._drop([key for key in self._fenced if key[0] not in uids])
        self._limited = {key for key in self._limited if key[0] in uids}

    def _drop(self, keys: Iterable[tuple[str, str]]) -> None:
        for key in keys:
            fenced = self._fenced.pop(key)
            self._changed.unregister(fenced.filter.fileno())
            fenced.filter.close()

    def refused(self, uid: str) -> tuple[int, dict[Destination, int]]:
        """Packets of a Pod that were refused since the last call: how many, and where to."""
        packets, news = 0, dict[Destination, int]()
        for (owner, _), fenced in self._fenced.items():
            if owner == uid:
                packets += self._news(fenced, news)
        return packets, news

    def _news(self, fenced: _Fenced, news: dict[Destination, int]) -> int:
        count = fenced.filter.refused_packets()
        before, fenced.packets = fenced.packets, count
        if count == before:
            return 0
        known, fenced.refused = fenced.refused, dict(fenced.filter.refused())
        for destination, more in fence.grown(known, fenced.refused).items():
            news[destination] = news.get(destination, 0) + more
        return count - before if count > before else count
