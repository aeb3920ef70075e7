"""Notes when objects become Ready, by a watch: no polling disturbs the figures."""

import json
import subprocess
import threading
import time
from types import TracebackType
from typing import Any, Self

from cluster import Cluster

Json = dict[str, Any]


class ReadyWatch:
    """Watches one kind in one namespace; `times[name]` is when it was first seen Ready."""

    def __init__(self, cluster: Cluster, kind: str, namespace: str) -> None:
        self.times: dict[str, float] = {}
        self.gone: set[str] = set()
        self.seen: dict[str, float] = {}
        argv = ["get", kind, "-n", namespace, "-w", "--output-watch-events", "-o", "json"]
        kubectl = str(cluster.paths.bin / "kubectl")
        self._process = subprocess.Popen(
            [kubectl, "--kubeconfig", str(cluster.kubeconfig), *argv],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()
        self._thread.join()

    def wait(self, names: set[str], seconds: float) -> None:
        """Waits until all names were seen Ready."""
        self._until(lambda: names <= self.times.keys(), seconds, names)

    def wait_seen(self, names: set[str], seconds: float) -> None:
        """Waits until all names exist."""
        self._until(lambda: names <= self.seen.keys(), seconds, names)

    def wait_gone(self, names: set[str], seconds: float) -> None:
        """Waits until all names were deleted."""
        self._until(lambda: names <= self.gone, seconds, names)

    def _until(self, done: Any, seconds: float, names: set[str]) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                message = f"not within {seconds} s: {len(self.times)} of {len(names)} are Ready"
                raise TimeoutError(message)
            time.sleep(0.005)

    def _read(self) -> None:
        """Kubectl prints one event per line."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            self._note(event["type"], event["object"])

    def _note(self, type_: str, body: Json) -> None:
        name, now = body["metadata"]["name"], time.monotonic()
        if type_ == "DELETED":
            self.gone.add(name)
            return
        self.seen.setdefault(name, now)
        conditions = body.get("status", {}).get("conditions", [])
        if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            self.times.setdefault(name, now)
