"""What the operator remembers between passes, beside the uids: three books, kept together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from ringfence.freshness import Freshness
from ringfence.heartbeats import Heartbeats
from ringfence.policy_book import PolicyBook


@dataclass(frozen=True)
class Books:
    """Each is learnt from watch events and put right by full lists."""

    heartbeats: Heartbeats
    """What each node has, and whose agent lives."""
    freshness: Freshness
    """Which versions the last pass over each Sandbox has seen."""
    policies: PolicyBook = field(default_factory=PolicyBook)
    """NetworkPolicies that belong to no Sandbox."""

    @classmethod
    def empty(cls, clock: Callable[[], float]) -> Self:
        """Books in which nothing stands; `clock` is one that is never set back."""
        return cls(Heartbeats(clock), Freshness(clock))
