"""Reports of probes, as tests need them."""

from typing import Any

from ringfence.attack.model import Attempt, Identity, Limits, Observed
from ringfence.attack.rows import ROWS, Row

MIB = 1 << 20
LIMITS = Limits(pids=256, memory=2048 * MIB, disk=5120 * MIB)
POWERLESS = Identity(
    uid=30000,
    seccomp=2,
    no_new_privileges=1,
    capabilities="0000000000000000",
    bounding="0000000000000000",
    app_armor="",
    app_armor_in_kernel=False,
)
ROOT = POWERLESS.model_copy(
    update={"uid": 0, "no_new_privileges": 0, "capabilities": "a80425fb", "bounding": "a80425fb"}
)
CONFINED = POWERLESS.model_copy(
    update={"app_armor": "sandbox-agent-0123456789 (enforce)", "app_armor_in_kernel": True}
)


def row(name: str) -> Row:
    """The row of that name."""
    return next(r for r in ROWS if r.name == name)


def refused(errno: str = "EPERM", *, filter_: str = "", known: bool = False) -> Attempt:
    return Attempt(what="try", outcome="refused", errno=errno, filter=filter_, known=known)


def filtered() -> Attempt:
    return refused(filter_="EPERM")


def through(detail: str = "") -> Attempt:
    return Attempt(what="try", outcome="through", detail=detail)


def silent(*, known: bool = False) -> Attempt:
    return Attempt(what="try", outcome="silent", errno="timeout", known=known)


def untried() -> Attempt:
    return Attempt(what="try", outcome="untried", detail="no room")


def report(*attempts: Attempt, me: Identity = POWERLESS, **facts: Any) -> Observed:
    return Observed(attempts=attempts, facts=facts, me=me)


HELD = {
    "remove-root": report(refused("EROFS"), readOnlyRoot=True),
    "remove-workspace": report(refused("EROFS"), removed=6, left=0),
    "fork-bomb": report(refused("EAGAIN"), processes=240, cgroup="256"),
    "memory-bomb": report(refused("SIGKILL"), bytes=2016 * MIB),
    "disk-fill": report(refused("ENOSPC"), bytes=4900 * MIB, inodes=327680, ownVolume=True),
    "environment-exfiltration": report(refused("ECONNREFUSED", known=True), refused("HTTP 403")),
    "other-files": report(refused("ENOENT"), refused("ENOTDIR")),
    "metadata": report(silent(), refused("ECONNREFUSED", known=True)),
    "enter-host": report(filtered(), filtered()),
    "become-root": report(refused()),
    "load-module": report(filtered()),
    "ptrace": report(filtered()),
    "other-pods": report(silent(known=True)),
    "crypto-socket": report(filtered()),
    "setuid-files": report(refused(), files=0),
    "kernel-settings": report(refused("EACCES"), readOnlySettings=True),
    "terminal-input": report(filtered()),
    "user-namespace": report(filtered(), refused("ENOSYS", filter_="ENOSYS")),
    "device-node": report(filtered()),
    "other-environments": report(refused("none"), strangers=0, ownPidNamespace=True),
    "cluster-ports": report(silent(known=True), silent(), ownNetworkNamespace=True),
    "service-account-token": report(refused("ENOENT")),
    "apparmor-confinement": report(refused("EACCES"), me=CONFINED),
    "apparmor-processes": report(refused("EACCES"), me=CONFINED),
}
"""What each row's probe reports where everything holds."""
