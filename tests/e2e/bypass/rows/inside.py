"""Attempts on the proxy from inside of the Pod: its uid, port, process, files; its network."""

from __future__ import annotations

from typing import Any

from bypass.model import Layer, Proof, Row

_KERNEL = (Layer.KERNEL,)
_SECCOMP = (Layer.SECCOMP,)
_PROXY = (Layer.PROXY,)


def _row(
    name: str,
    what: str,
    layers: tuple[Layer, ...] = _KERNEL,
    proof: Proof = Proof.SAME,
    **args: Any,
) -> Row:
    return Row(
        name, what, f"powers.{name.partition(':')[0].replace('-', '_')}", args, layers, proof
    )


_WHO = (
    _row("become-proxy", "setuid and its like to the proxy's uid"),
    _row("claim-proxy", "SCM_CREDENTIALS with the proxy's uid"),
    _row("give-to-proxy", "a set-user-ID file of the proxy's uid"),
    _row("user-namespace", "every right in a user namespace", _SECCOMP, Proof.FILTER),
    _row("trace-proxy", "ptrace, /proc/<pid>/mem, pidfd_getfd, setns", _SECCOMP, Proof.FILTER),
    _row("find-proxy", "its process, to kill it or write its memory", proof=Proof.ITSELF),
    _row("change-proxy", "its configuration files", proof=Proof.ITSELF),
    _row("shared-memory", "memory of the Pod's IPC namespace", proof=Proof.ITSELF),
    _row("change-network:route", "a route of one's own", change="route"),
    _row("change-network:address", "an address of one's own", change="address"),
    _row("netfilter", "netlink to the packet filter", _SECCOMP, Proof.FILTER),
)
_PORTS = (
    _row("take-port:proxy", "listen where the proxy listens", address="127.0.0.1"),
    _row("take-port:share", "SO_REUSEPORT beside the proxy", address="127.0.0.1", reuse=True),
    _row("take-port:any", "listen on every address at its port", address="0.0.0.0"),  # noqa: S104
    _row("take-port:any-6", "the same by IPv6, both families", address="::"),
    Row("own-port", "listen at that port of the Pod's address: harms nobody", "powers.take_port",
        {"address": "own"}),
    Row("listening", "open ports of others on loopback; an admin interface", "tunnels.listening",
        {}, _PROXY, Proof.ITSELF),
    Row("abstract-sockets", "abstract Unix sockets of other containers",
        "tunnels.abstract_sockets", {}, _PROXY, Proof.ITSELF),
)  # fmt: skip
ROWS = (*_WHO, *_PORTS)
