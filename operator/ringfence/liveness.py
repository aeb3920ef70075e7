"""Judges whether the operator still does its work. Pure: times come in, a reason comes out.

A restart is the cure that is offered, so only what a restart can cure counts: an API server that is
down does not, a loop that hangs does.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Signs:
    """What the process shows of itself, in seconds of one monotonic clock."""

    now: float
    last_watch_or_resync: float
    """When a watch event arrived or a resync was attempted."""
    loop_lag: float
    """How much later than asked for the event loop last came round."""
    oldest_key_age: float
    """How long the oldest key has waited or been worked on."""


@dataclass(frozen=True)
class Limits:
    """What is still well."""

    silence: float
    """Seconds without an event or a resync."""
    loop_lag: float = 5.0
    """Seconds that the event loop may be late."""
    key_age: float = 600.0
    """Seconds that a key may wait or take."""

    @classmethod
    def for_resync(cls, seconds: float) -> "Limits":
        """Limits of an operator that resyncs every so often: two passes may be missed."""
        return cls(silence=2 * seconds + 120.0)


def ailment(signs: Signs, limits: Limits) -> str | None:
    """Why the process should be restarted, or None if all is well."""
    silence = signs.now - signs.last_watch_or_resync
    if silence > limits.silence:
        return f"no watch event and no resync for {silence:.0f} s"
    if signs.loop_lag > limits.loop_lag:
        return f"the event loop is {signs.loop_lag:.1f} s late"
    if signs.oldest_key_age > limits.key_age:
        return f"a Sandbox has been waiting for {signs.oldest_key_age:.0f} s"
    return None
