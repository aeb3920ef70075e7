"""Many Sandboxes that try to get out from their first instruction on. I/O.

First bash alone, within milliseconds after its start, long before a Python would have read its own
modules. Then a Python, whose connections do not block.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final, NamedTuple

import support
from bypass import places
from cluster import config
from ringfence import guard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bypass.model import Arrival
    from bypass.stage import Stage
    from support import Json

LEAKED: Final = f"race.leak.{places.ZONE}"
_SECONDS: Final = 2
_PATIENCE_SECONDS: Final = 120.0
_WAYS: Final = [(places.PUBLIC, 443), (places.OTHER, 443), (config.API_SERVICE_ADDRESS, 443)]
_QUESTION: Final = "".join(
    (
        r"\x72\x66\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00",
        *(rf"\x{len(label):02x}{label}" for label in LEAKED.split(".")),
        r"\x00\x00\x01\x00\x01",
    )
)
_HAMMER: Final = f"""
import socket, time
tried = passed = 0
end = time.monotonic() + {_SECONDS}
while time.monotonic() < end:
    for place in {_WAYS!r}:
        tried += 1
        with socket.socket() as made:
            made.settimeout(1)
            try:
                made.connect(place)
                passed += 1
            except OSError:
                pass
print(tried, passed)
"""
SCRIPT: Final = f"""
dials=()
for way in {" ".join(f"{address}/{port}" for address, port in _WAYS)}; do
  : <>/dev/tcp/$way & dials+=($!)
done 2>/dev/null
printf '{_QUESTION}' 2>/dev/null >/dev/udp/{config.DNS_SERVICE_ADDRESS}/53
told=($(python3 -I -S -c {shlex.quote(_HAMMER)}))
passed=${{told[1]}}
for dial in "${{dials[@]}}"; do wait $dial && passed=$((passed + 1)); done
echo $((told[0] + ${{#dials[@]}})) $passed
"""


class Lap(NamedTuple):
    """What one Sandbox said."""

    tried: int
    passed: int


def wave(stage: Stage, names: list[str]) -> list[Lap]:
    """Starts Sandboxes at once, waits until their programs have ended, and removes them."""
    stage.sandboxes(*names, command=["bash", "-c", SCRIPT], restartPolicy="Never")
    support.poll("all of them to end", lambda: set(names) <= _ended(stage), _PATIENCE_SECONDS)
    laps = [_lap(stage, name) for name in names]
    stage.cluster.kubectl("delete", "sandbox", "-n", stage.namespace, "--wait=false", *names)
    return laps


def agents_own(arrivals: Iterable[Arrival]) -> list[Arrival]:
    """Without what the guards sent: they try the ways out until the fence refuses them."""
    guards = {probe.address for probe in guard.probes(config.DNS_SERVICE_ADDRESS)}
    return [arrival for arrival in arrivals if arrival.address not in guards]


def _ended(stage: Stage) -> set[str]:
    pods = support.items(stage.cluster, "pods", stage.namespace)
    return {pod["metadata"]["name"] for pod in pods if _has_ended(pod)}


def _has_ended(pod: Json) -> bool:
    statuses = pod["status"].get("containerStatuses", [])
    return any("terminated" in status["state"] for status in statuses)


def _lap(stage: Stage, name: str) -> Lap:
    log = stage.cluster.kubectl("logs", "-n", stage.namespace, name, "-c", "agent")
    return Lap(*map(int, log.split()))
