"""Rows of the table, what was seen of them, and the verdict. Pure.

A row holds only if the refusal came from a layer that the row names *and* somebody who is allowed
reached the same target: no row passes because nobody was there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


class Layer(StrEnum):
    """Who refuses, as far as one can see from inside and from the stand-in internet."""

    FENCE = "fence"
    """The packet filter in the Pod: its ICMP message came from the Pod itself, or EPERM."""
    POLICY = "policy"
    """NetworkPolicy on the node: an ICMP message from elsewhere."""
    PROXY = "proxy"
    SECCOMP = "seccomp"
    KERNEL = "kernel"
    """Rights that the agent lacks, or what this kernel does not know."""


class Proof(StrEnum):
    """How it is known that the row would get through if nothing stood in the way."""

    SAME = "same attempt"
    """The same program gets through in a Pod without any fence, as root."""
    FILTER = "filter's word"
    """The kernel was asked without making the call: the refusal is the seccomp filter's own."""
    DIAL = "direct dial"
    """The Pod without a fence reaches the address that the proxy was to be led to."""
    OWNER = "owner's dial"
    """The other Sandbox reaches its own port from inside: nobody else may."""
    ITSELF = "itself"
    """The attempt shows it: it found what it looked for, or it was answered."""
    NONE = "none needed"
    """The row is expected to get through."""


class Place(NamedTuple):
    """An address of the stand-in internet, or of the cluster."""

    address: str
    port: int

    def __str__(self) -> str:
        """As it is usually written."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Row:
    """One attempt."""

    name: str
    what: str
    probe: str
    """`module.function` of bypass.probes."""
    args: dict[str, Any] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    """Each of these refuses it by itself; none: it is expected to get through."""
    proof: Proof = Proof.SAME
    dials: Place | None = None
    """With Proof.DIAL: where the proxy was to be led to."""
    permits: tuple[str, ...] = ()
    """Addresses of the stand-in internet that may hear of it all the same."""

    @property
    def allowed(self) -> bool:
        """Whether it is expected to get through."""
        return not self.layers

    def refused_without(self, *missing: Layer) -> bool:
        """Whether it is still refused when these layers are gone."""
        return bool(set(self.layers) - set(missing))


@dataclass(frozen=True)
class Arrival:
    """A packet that opened something new in the stand-in internet."""

    at: float
    protocol: str
    address: str
    port: int

    def __str__(self) -> str:
        """For the table."""
        return f"{self.protocol} {self.address}:{self.port}"


@dataclass(frozen=True)
class Seen:
    """What one run of a row showed."""

    row: str
    outcome: str
    """through, refused, silent (nothing came back) or untried."""
    where: str = ""
    detail: str = ""
    start: float = 0.0
    end: float = 0.0
    arrivals: tuple[Arrival, ...] = ()

    def leaks(self, row: Row) -> list[Arrival]:
        """Arrivals that must not be."""
        return [a for a in self.arrivals if a.address not in row.permits]

    def passed(self, row: Row) -> bool:
        """Whether anything got through."""
        return self.outcome == "through" or bool(self.leaks(row))


@dataclass(frozen=True)
class Judged:
    """A row, what was seen, and what that means."""

    row: Row
    seen: Seen
    verdict: str
    """held, breached, blocked (of what is allowed) or inconclusive."""
    why: str = ""

    @property
    def holds(self) -> bool:
        """Whether it is as it should be."""
        return self.verdict == "held"


def judge(row: Row, seen: Seen, *, reachable: bool) -> Judged:
    """The verdict on one run.

    Args:
        row: The row.
        seen: Its run.
        reachable: Somebody who is allowed got there (see `Proof`).
    """
    if seen.outcome == "untried":
        return Judged(row, seen, "inconclusive", "could not be tried")
    if row.allowed:
        through = seen.outcome == "through"
        leaks = ", ".join(map(str, seen.leaks(row)))
        verdict = "breached" if leaks else "held" if through else "blocked"
        return Judged(row, seen, verdict, leaks)
    if seen.passed(row):
        return Judged(row, seen, "breached", ", ".join(map(str, seen.leaks(row))))
    if not reachable:
        return Judged(row, seen, "inconclusive", f"nothing shows that it leads there: {row.proof}")
    if refused_by(seen) not in row.layers:
        return Judged(row, seen, "inconclusive", "refused by none of the layers that it names")
    return Judged(row, seen, "held")


def refused_by(seen: Seen) -> str:
    """The layer that refused; silence is a NetworkPolicy's.

    Many drop, and a node's kernel sends only so many ICMP messages a second. The packet filter in
    the Pod always answers.
    """
    return Layer.POLICY if seen.outcome == "silent" else seen.where
