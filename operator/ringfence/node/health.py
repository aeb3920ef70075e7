"""Whether the node agent is well. Pure; the clock is an argument.

Liveness is about the main loop alone: a restart heals nothing else.
"""

from dataclasses import dataclass, field
from typing import Final

_STUCK_SECONDS: Final = 60.0
_SILENT_SECONDS: Final = 40.0
"""As long as the operator waits before it calls the node agent lost."""


@dataclass
class Health:
    """Signs of life, noted by the main loop."""

    turned: float
    """When the loop last came round."""
    published: float | None = None
    """When the API server last took a heartbeat."""
    problems: tuple[str, ...] = field(default=("not looked yet",))
    """Why a profile is not in place."""

    def ailment(self, now: float) -> str | None:
        """Why the process should be restarted, if it should."""
        age = now - self.turned
        return f"the main loop hangs for {age:.0f} s" if age > _STUCK_SECONDS else None

    def unready(self, now: float) -> str | None:
        """Why Sandboxes cannot rely on this node, if so."""
        if self.problems:
            return "; ".join(self.problems)
        if self.published is None or now - self.published > _SILENT_SECONDS:
            return "the API server takes no heartbeat"
        return None
