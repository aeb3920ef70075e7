"""The provisioner as a process: `python -m cluster.volumes STATE`.

It may be stopped at any time: every watch begins with all that there is, and each step may be done
twice. What it remembers only saves it from that.
"""

from __future__ import annotations

import http.client
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any

from cluster import config
from cluster.errors import ClusterError
from cluster.supervisor import Supervisor
from cluster.volumes import claims
from cluster.volumes.api import CLAIMS, VOLUMES, VolumesApi
from cluster.volumes.disks import Disks

Json = dict[str, Any]
_PAUSE_SECONDS = 0.5


class Provisioner:
    """Makes a volume for each claim that wants one; removes each that is done with."""

    def __init__(self, paths: config.Paths, api: VolumesApi) -> None:
        self._supervisor = Supervisor(paths)
        self._disks = Disks(paths)
        self._api = api
        self._made: set[str] = set()
        self._removed: set[str] = set()

    def handle(self, body: Json) -> None:
        """Do what a claim or a volume asks for, if anything."""
        try:
            if body["kind"] == "PersistentVolumeClaim":
                self._claim(body)
            else:
                self._volume(body)
        except (ClusterError, OSError, http.client.HTTPException) as error:
            _say(f"{body['metadata']['name']}: {error}")

    def _claim(self, body: Json) -> None:
        begun, name = time.monotonic(), claims.volume_name(body)
        if name in self._made or not claims.wants_volume(body):
            return
        self._disks.make(name, claims.size_of(body), self._supervisor.node_pid())
        self._api.call_bound(body, claims.bound_status(body))
        self._api.create_volume(claims.volume_of(body, str(self._disks.path(name))))
        self._made.add(name)
        _say(f"{name}: made in {time.monotonic() - begun:.3f} s")

    def _volume(self, body: Json) -> None:
        name = body["metadata"]["name"]
        if name in self._removed or not claims.is_done_with(body):
            return
        self._disks.remove(name, self._supervisor.node_pid())
        self._api.delete_volume(name)
        self._removed.add(name)
        _say(f"{name}: removed")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _watch(api: VolumesApi, path: str, found: queue.SimpleQueue[Json]) -> None:
    """Watch for ever; an API server that is away is waited for."""
    while True:
        try:
            for body in api.watch(path):
                found.put(body)
        except (ClusterError, OSError, http.client.HTTPException, ValueError) as error:
            _say(f"watch of {path}: {error}")
        time.sleep(_PAUSE_SECONDS)


def main() -> None:
    """Provision until killed."""
    paths = config.Paths(state=Path(sys.argv[1]), cache=config.cache_dir())
    api = VolumesApi(paths)
    found: queue.SimpleQueue[Json] = queue.SimpleQueue()
    for path in (CLAIMS, VOLUMES):
        threading.Thread(target=_watch, args=(api, path, found), daemon=True).start()
    provisioner = Provisioner(paths, api)
    while True:
        provisioner.handle(found.get())


if __name__ == "__main__":
    main()
