"""The main loop of the node agent: whatever happens becomes a look at a Pod or at the profiles.

Level-triggered: a hint (a watch event, a changed directory) only makes a look due sooner, and
everything is looked at regularly anyway. This thread alone touches the kernel, and it
never waits for the API server.
"""

import logging
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from ringfence import names
from ringfence.node import posture, report
from ringfence.node.api import Client, Json
from ringfence.node.book import Book, PodEvent
from ringfence.node.fences import Fences
from ringfence.node.health import Health
from ringfence.node.inventory import Inventory
from ringfence.node.mailbox import Mailbox
from ringfence.node.metrics import NodeMetrics
from ringfence.node.nfnetlink import RefusedByKernelError
from ringfence.node.outbox import Job, Written
from ringfence.node.packet_filter import PacketFilterError
from ringfence.node.pods import SandboxPod
from ringfence.node.posture import Finding, Node
from ringfence.node.publisher import Publisher
from ringfence.node.schedule import Schedule
from ringfence.node.settings import NodeSettings
from ringfence.node.warden import Look, Warden
from ringfence.node.watches import CHILDREN, CONTENT, EVERYTHING, Watches

STOP: Final = "stop"
Message = PodEvent | Written | str

_SCAN: Final = "scan"
_CGROUPS: Final = "cgroups"
_PROFILES: Final = "profiles"
_HEARTBEAT: Final = "heartbeat"
_RETRY_SECONDS: Final = 2.0
_REFUSED_LINES: Final = 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What the agent works with."""

    mailbox: Mailbox[Message]
    watches: Watches
    inventory: Inventory
    warden: Warden
    fences: Fences
    publisher: Publisher
    send: Callable[[str, Job], None]
    """Puts a job into the outbox; its outcome comes into the mailbox."""
    health: Health
    metrics: NodeMetrics
    host_namespaces: dict[str, str]


class Agent:
    """Looks after one node."""

    def __init__(self, settings: NodeSettings, parts: Parts) -> None:
        self._settings = settings
        self._parts = parts
        self._book = Book()
        self._due: Schedule[str] = Schedule()
        self._state: report.NodeState | None = None
        self._sent: set[str] = set()
        """Keys of the writes whose outcome is still to come."""
        self._failing: dict[str, float] = {}
        """Pods that cannot be looked at, and since when."""
        self._stopped = False

    def run(self) -> None:
        """Works until STOP comes into the mailbox."""
        self.begin()
        with selectors.DefaultSelector() as selector:
            selector.register(self._parts.mailbox, selectors.EVENT_READ)
            selector.register(self._parts.watches, selectors.EVENT_READ)
            selector.register(self._parts.fences, selectors.EVENT_READ)
            while not self._stopped:
                selector.select(self._due.wait(time.monotonic()))
                self.turn()

    def begin(self) -> None:
        """Makes everything due."""
        for key in (_SCAN, _HEARTBEAT):
            self._due.at(key, time.monotonic())

    def turn(self) -> None:
        """Takes in what happened, and does what is due."""
        now = time.monotonic()
        self._parts.health.turned = now
        for message in self._parts.mailbox.take():
            self._take(message, now)
        changed = self._parts.watches.changes()
        for key in {_PROFILES, _SCAN} if changed is None else changed:
            self._due.at(key, now)
        for uid in self._parts.fences.changes():
            self._due.at(uid, now)
        for key in self._due.pop(now):
            self._do(key, now)

    def _take(self, message: Message, now: float) -> None:
        if isinstance(message, str):
            self._stopped = True
        elif isinstance(message, Written):
            self._written(message, now)
        else:
            for uid in self._book.note(message):
                self._due.at(uid, now)
            self._due.at(_CGROUPS, now)

    def _do(self, key: str, now: float) -> None:
        if key == _SCAN:
            self._scan(now)
        elif key == _CGROUPS:
            self._find_cgroups(now)
        elif key == _PROFILES:
            self._check_profiles(now)
        elif key == _HEARTBEAT:
            self._due.at(_HEARTBEAT, now + self._settings.node_heartbeat_seconds)
            self._publish()
        elif pod := self._book.pods.get(key):
            self._look(pod, now)

    def _scan(self, now: float) -> None:
        self._due.at(_SCAN, now + self._settings.node_scan_seconds)
        self._check_profiles(now)
        self._find_cgroups(now)
        for pod in self._book.pods.values():
            self._tell_refused(pod)
            self._due.at(pod.uid, now)
        self._sweep(now)

    def _find_cgroups(self, now: float) -> None:
        """Looks for new cgroups of Sandboxes, and makes sure that the next ones are noticed."""
        for path in self._parts.warden.nurseries():
            if self._parts.watches.watch(path, CHILDREN, _CGROUPS):
                self._due.at(_CGROUPS, now)
        for uid in self._parts.warden.scan(self._book.pods):
            self._due.at(uid, now)
        self._parts.metrics.sandboxes.set(len(self._book.pods))

    def _check_profiles(self, now: float) -> None:
        for path in self._parts.inventory.seccomp.directories():
            if self._parts.watches.watch(str(path), EVERYTHING, _PROFILES):
                self._due.at(_PROFILES, now)
        before, self._state = self._state, self._parts.inventory.check()
        if self._state == before:
            return
        self._parts.health.problems = self._state.problems
        self._parts.metrics.missing.set(len(self._state.problems))
        for problem in self._state.problems:
            _log.error("profile not in place: %s", problem)
        self._publish()
        for uid in self._book.pods:
            self._due.at(uid, now)

    def _sweep(self, now: float) -> None:
        used = self._book.profiles_in_use()
        if used is None:
            return
        for path in self._parts.inventory.seccomp.sweep(
            used, self._settings.node_unused_seconds, now
        ):
            _log.info("removed unused profile %s", path)

    def _tell_refused(self, pod: SandboxPod) -> None:
        """Logs where a Pod was refused to send, at most so many lines for each scan."""
        try:
            packets, news = self._parts.fences.refused(pod.uid)
        except (OSError, ValueError, PacketFilterError, RefusedByKernelError) as error:
            _log.warning("Pod %s/%s: refused packets: %s", pod.namespace, pod.name, error)
            return
        self._parts.metrics.refused.inc(packets)
        for where, count in sorted(news.items(), key=lambda item: -item[1])[:_REFUSED_LINES]:
            _log.info("refused: Pod %s/%s: %s, packets %d", pod.namespace, pod.name, where, count)
        if len(news) > _REFUSED_LINES:
            left = len(news) - _REFUSED_LINES
            _log.info("refused: Pod %s/%s: %d more destinations", pod.namespace, pod.name, left)

    def _look(self, pod: SandboxPod, now: float) -> None:
        found = self._findings(pod, now)
        for path, directory in self._parts.warden.places(pod.uid):
            if self._parts.watches.watch(path, CHILDREN if directory else CONTENT, pod.uid):
                self._due.at(pod.uid, now)
        patch = report.pod_patch(pod, found, datetime.now(UTC)) if found else None
        if patch and pod.uid not in self._sent:
            if posture.is_ailing(found):
                self._parts.metrics.ailing.inc()
                _log.warning("Pod %s/%s: %s", pod.namespace, pod.name, found[-1].message)
            self._send(pod.uid, partial(patch_pod, pod=pod, patch=patch))

    def _findings(self, pod: SandboxPod, now: float) -> list[Finding]:
        """What is to be said about a Pod; nothing while there is nothing to say."""
        if self._state is None:
            return []
        node = Node(self._parts.host_namespaces, self._state.seccomp_profiles)
        try:
            look = self._parts.warden.look(pod, node, now)
        except Exception as error:  # noqa: BLE001 - one Pod must not stop the care of the others
            return self._failed(pod, error, now)
        self._failing.pop(pod.uid, None)
        self._note_fence(look)
        if look.again is not None:
            self._due.at(pod.uid, now + look.again)
        return look.findings or []

    def _note_fence(self, look: Look) -> None:
        self._parts.metrics.fence_repairs.inc(look.fenced.repaired)
        if look.network_age is not None:
            self._parts.metrics.fence_seconds.observe(look.network_age)

    def _failed(self, pod: SandboxPod, error: Exception, now: float) -> list[Finding]:
        """What lasts is no race with a process that ends, but something that is broken."""
        _log.exception("cannot look at Pod %s/%s", pod.namespace, pod.name)
        self._parts.metrics.errors.inc()
        self._due.at(pod.uid, now + _RETRY_SECONDS)
        since = self._failing.setdefault(pod.uid, now)
        return [posture.unreadable(error)] if now - since >= _RETRY_SECONDS else []

    def _publish(self) -> None:
        if self._state is not None and _HEARTBEAT not in self._sent:
            self._send(_HEARTBEAT, partial(self._parts.publisher.publish, state=self._state))

    def _send(self, key: str, job: Job) -> None:
        self._sent.add(key)
        self._parts.send(key, job)

    def _written(self, message: Written, now: float) -> None:
        self._sent.discard(message.key)
        what = "node" if message.key == _HEARTBEAT else "pod"
        self._parts.metrics.writes.labels(what, "failed" if message.error else "ok").inc()
        if message.error:
            self._due.at(message.key, now + _RETRY_SECONDS)
        elif message.key == _HEARTBEAT:
            self._parts.health.published = now
            if message.answer != self._state:
                self._publish()
        else:
            self._book.update(message.answer)
            self._due.at(message.key, now)
            self._note_latency(message.key)

    def _note_latency(self, uid: str) -> None:
        pod = self._book.pods.get(uid)
        if pod and report.is_verified(pod) and (age := self._parts.warden.announced(uid)):
            self._parts.metrics.posture_seconds.observe(age)


def patch_pod(client: Client, pod: SandboxPod, patch: Json) -> Json:
    """Writes conditions of a Pod; returns the Pod."""
    path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/status"
    return client.patch(path, names.NODE_FIELD_MANAGER, patch)
