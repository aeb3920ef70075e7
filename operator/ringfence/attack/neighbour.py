"""How the neighbour fares: a small fixed job, timed inside of it before and during the bombs. Pure.

The job is what an agent does all day: some arithmetic, a file, a process.
"""

from statistics import median
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from ringfence.attack.model import Lost, Status, Verdict

SAMPLER: Final = """\
import hashlib, json, os, time
data, samples = bytes(1 << 20), []
for number in range(10):
    begun = time.perf_counter()
    hashlib.sha256(data).digest()
    path = f"/work/.sample-{os.getpid()}"
    with open(path, "wb") as file:
        file.write(data[:65536])
    os.unlink(path)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    samples.append(time.perf_counter() - begun)
print(json.dumps(samples))
"""
LARGEST_RATIO: Final = 10.0
"""Generous: the node may have two cores and other work. A node that thrashes is far beyond."""
_FEWEST: Final = 10
_SAMPLES: Final = TypeAdapter(list[Annotated[float, Field(gt=0, lt=3600)]])


def samples(line: str) -> list[float] | Lost:
    """Seconds that the sampler printed."""
    try:
        return _SAMPLES.validate_json(line)
    except ValidationError:
        return Lost("the neighbour's sampler printed no samples")


def judge(before: list[float], during: list[float]) -> Verdict:
    """Whether the neighbour kept its pace, by the median of its job."""
    if min(len(before), len(during)) < _FEWEST:
        return Verdict(Status.INCONCLUSIVE, "too few samples of the neighbour's job")
    calm, worst = median(before) * 1000, median(during) * 1000
    ratio = worst / calm
    seen = f"p50 {calm:.1f} ms before, {worst:.1f} ms during the bombs: {ratio:.1f} times"
    if ratio > LARGEST_RATIO:
        return Verdict(Status.BREACHED, f"{seen}; at most {LARGEST_RATIO:.0f}")
    return Verdict(Status.STOPPED, seen, "resources", "limits of the attacker's cgroup")
