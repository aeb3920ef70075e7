"""`ringfence-node`: wires the parts of the node agent together, runs them, and ends them.

It decides nothing. On SIGTERM it ends at once and leaves everything in place: limits, profiles and
labels hold without it; that it is gone shows in the SandboxNode, which is not renewed any more.
"""

import argparse
import dataclasses
import logging
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from ringfence import __version__
from ringfence.node import endpoints, enter, inventory, log, packet_filter
from ringfence.node.agent import STOP, Agent, Message, Parts
from ringfence.node.api import Access, Client
from ringfence.node.cgroup_tree import CgroupTree, NoCgroupsError
from ringfence.node.fences import Fences, Kernel
from ringfence.node.health import Health
from ringfence.node.inspector import Inspector
from ringfence.node.inventory import Inventory
from ringfence.node.mailbox import Mailbox
from ringfence.node.metrics import NodeMetrics
from ringfence.node.outbox import Outbox
from ringfence.node.pod_watch import PodWatch
from ringfence.node.processes import Processes
from ringfence.node.publisher import Publisher
from ringfence.node.seccomp_store import NotInstalledError
from ringfence.node.settings import PREFIX, NodeSettings
from ringfence.node.warden import Warden
from ringfence.node.watches import NoNotificationsError, Watches

_log = logging.getLogger(__name__)


class MisplacedError(Exception):
    """The container was not started as it must be; the message says what is missing."""


_FATAL: Final = (
    KeyError,
    MisplacedError,
    NoCgroupsError,
    NoNotificationsError,
    NotInstalledError,
    ValueError,
)


def main() -> int:
    """Runs the node agent; the exit code: 0 after a signal, 1 if it cannot work here."""
    parser = _parser()
    parser.add_argument("--version", action="version", version=__version__)
    parser.parse_args()
    log.configure()
    try:
        settings = NodeSettings.from_environment(os.environ)
        access = Access.from_environment(os.environ)
        _run(settings, access)
    except _FATAL as error:
        _log.error("cannot work: %s", error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    described = dataclasses.fields(NodeSettings)
    variables = ", ".join(f"{PREFIX}{field.name.upper()}" for field in described)
    return argparse.ArgumentParser(
        prog="ringfence-node",
        description="Installs profiles, enforces the limits of the Sandboxes on this node and "
        "verifies what is in force. Runs as a DaemonSet.",
        epilog=f"Environment variables: {variables}.",
    )


def _run(settings: NodeSettings, access: Access) -> None:
    mailbox: Mailbox[Message] = Mailbox()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: mailbox.put(STOP))
    outbox = Outbox(Client(access), mailbox.put)
    health, metrics = Health(time.monotonic()), NodeMetrics()
    agent = Agent(settings, _parts(settings, mailbox, outbox, health, metrics))
    http = endpoints.server(settings.node_port, _routes(health, metrics))
    watch = PodWatch(access, settings.node_name, mailbox.put)
    for part in (outbox.run, watch.run, http.serve_forever):
        threading.Thread(target=_for_ever, args=(part,), daemon=True).start()
    _log.info("looking after node %s", settings.node_name)
    agent.run()
    _log.info("stopped")


def _parts(
    settings: NodeSettings,
    mailbox: Mailbox[Message],
    outbox: Outbox,
    health: Health,
    metrics: NodeMetrics,
) -> Parts:
    processes = Processes()
    tree = CgroupTree(str(settings.node_cgroup_root), settings.node_pod_uid)
    fences = Fences(Kernel(packet_filter.opened, enter.limit_inotify))
    return Parts(
        mailbox=mailbox,
        watches=Watches(),
        inventory=Inventory(
            inventory.seccomp_store(settings, platform.machine()),
            inventory.app_armor_store(settings),
            processes.app_armor_enabled,
            tree.layout.version,
        ),
        warden=Warden(tree, Inspector(tree, processes), fences),
        fences=fences,
        publisher=Publisher(settings.node_name, lambda: datetime.now(UTC)),
        send=outbox.put,
        health=health,
        metrics=metrics,
        host_namespaces=_host_namespaces(processes),
    )


def _host_namespaces(processes: Processes) -> dict[str, str]:
    found = processes.namespaces()
    if found is None or found == processes.namespaces(os.getpid()):
        message = "the namespaces of the node are not to be seen; the Pod needs hostPID: true"
        raise MisplacedError(message)
    return found


def _routes(health: Health, metrics: NodeMetrics) -> endpoints.Routes:
    return {
        "/healthz": endpoints.verdict(lambda: health.ailment(time.monotonic())),
        "/readyz": endpoints.verdict(lambda: health.unready(time.monotonic())),
        "/metrics": lambda: (HTTPStatus.OK, metrics.exposition()),
    }


def _for_ever(part: Callable[[], None]) -> None:
    """Ends the process if a part ends: each is needed, and the next start is cheap."""
    try:
        part()
    except Exception:  # noqa: BLE001 - whatever it was, it is logged and the process ends
        _log.exception("the node agent ends, as a part of it failed")
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
