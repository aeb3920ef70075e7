"""Lists and watches the Sandbox Pods of this node, in a thread of its own, for ever. I/O.

It tells what it sees and keeps nothing. After each break it lists anew, so nothing is ever missed;
whoever listens compares.
"""

import logging
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

from ringfence import names
from ringfence.node import api
from ringfence.node.api import Access, ApiError, Client, Unreachable
from ringfence.node.book import Gone, Listed, PodEvent, Seen

_PATH: Final = "/api/v1/pods"
_GONE: Final = 410
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0

_log = logging.getLogger(__name__)


class PodWatch:
    """The Pods of one node."""

    def __init__(
        self,
        access: Access,
        node: str,
        tell: Callable[[PodEvent], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._access = access
        self._query = {
            "fieldSelector": f"spec.nodeName={node}",
            "labelSelector": names.SANDBOX_UID_LABEL,
        }
        self._tell = tell
        self._sleep = sleep

    def run(self) -> None:
        """Watches for ever; a break is logged and followed by a new list."""
        pause = _FIRST_PAUSE
        while True:
            try:
                version = self._list()
                pause = _FIRST_PAUSE
                self._watch(version)
            except (ApiError, Unreachable) as error:
                if isinstance(error, ApiError) and error.code == _GONE:
                    continue
                _log.warning("the watch of Pods broke: %s", error)
                self._sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _list(self) -> str:
        client = Client(self._access)
        try:
            answer = client.get(f"{_PATH}?{urlencode(self._query)}")
        finally:
            client.close()
        self._tell(Listed(tuple(answer["items"])))
        version: str = answer["metadata"]["resourceVersion"]
        return version

    def _watch(self, version: str) -> None:
        """Follows the changes since `version`; begins again where the API server ends a watch."""
        while True:
            query = {**self._query, "resourceVersion": version}
            for event in api.watch(self._access, _PATH, query):
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] == "DELETED":
                    self._tell(Gone(event["object"]["metadata"]["uid"]))
                elif event["type"] != "BOOKMARK":
                    self._tell(Seen(event["object"]))
