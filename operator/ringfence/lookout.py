"""Gives node agents up that have fallen silent, after a look at what the API server says.

A watch that hangs looks like silence of all agents at once; a list tells both apart, and costs one
call for each loss.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from ringfence.heartbeats import PATIENCE_SECONDS, Heartbeats
from ringfence.kinds import SANDBOX_NODE, Api, ApiError

PERIOD_SECONDS: Final = 1.0
"""Time between two looks at the book; at the cluster only when somebody is overdue."""
RETRY_SECONDS: Final = 5.0
"""Pause after a list that failed."""

_log = logging.getLogger(__name__)


class Lookout:
    """Keeps the book of heartbeats honest about those that stop."""

    def __init__(self, api: Api, heartbeats: Heartbeats, on_changed: Callable[[str], None]) -> None:
        """A lookout that has not looked yet.

        Args:
            api: Where to ask again.
            heartbeats: The book.
            on_changed: Gets the name of each node that is now another than before.
        """
        self._api = api
        self._heartbeats = heartbeats
        self._on_changed = on_changed

    async def run(self) -> None:
        """Looks every second until cancelled."""
        while True:
            answered = await self.look()
            await asyncio.sleep(PERIOD_SECONDS if answered else RETRY_SECONDS)

    async def look(self) -> bool:
        """Gives up whoever is overdue in truth. An API server that is silent proves nothing.

        Returns:
            False if the API server did not answer.
        """
        if not self._heartbeats.overdue():
            return True
        try:
            bodies = await self._api.list(SANDBOX_NODE)
        except ApiError as error:
            _log.warning("cannot tell whether node agents are lost: %s", error)
            return False
        for name in self._heartbeats.replace(bodies):
            self._on_changed(name)
        for name in self._heartbeats.overdue():
            _log.warning("node %s: no heartbeat of its agent for %.0f s", name, PATIENCE_SECONDS)
            self._heartbeats.lose(name)
            self._on_changed(name)
        return True
