"""Limits only ever tighten, and what is reported is what holds over the whole hierarchy."""

from hypothesis import given
from hypothesis import strategies as st

from ringfence.node import limits
from ringfence.node.limits import Effective
from ringfence.node.pods import IoLimits, Limits

WANTED = Limits(pids=256, disk_bytes=1)
NUMBERS = st.none() | st.integers(1, 10**6)


@given(current=NUMBERS, wanted=st.integers(1, 10**6))
def test_no_write_ever_raises_a_limit(current: int | None, wanted: int) -> None:
    value = limits.lowered(current, wanted)
    assert value is None or current is None or value < current


@given(chain=st.lists(st.tuples(st.text(), NUMBERS)))
def test_effective_limit_is_the_least_of_all(chain: list[tuple[str, int | None]]) -> None:
    found = limits.effective(chain)
    values = [value for _, value in chain if value is not None]
    assert found.value == min(values, default=None)


def test_source_of_the_effective_limit_is_named() -> None:
    chain = [("container cgroup", 256), ("Pod cgroup", 64), ("cgroup /kubepods", None)]
    assert limits.effective(chain) == Effective(64, "Pod cgroup")


def test_pod_has_room_for_the_agent_and_the_proxy() -> None:
    of_containers = sum(limits.container_pids(name, WANTED) for name in ("agent", "egress-proxy"))
    assert of_containers < limits.pod_pids(WANTED) < of_containers + 32


def test_container_that_is_not_known_yet_is_limited_too() -> None:
    assert limits.container_pids(None, WANTED) == 256
    assert limits.container_pids(None, Limits(pids=16, disk_bytes=1)) == limits.PROXY_PIDS


V1_TEXTS = dict.fromkeys(limits.IO_FILES[1], "") | {
    "blkio.throttle.read_bps_device": "8:0 1000\n8:16 5\n"
}


def test_io_limits_of_version_1_are_read_per_device() -> None:
    assert limits.parse_io(1, "8:0", V1_TEXTS) == IoLimits(read_bytes=1000)


def test_io_limits_of_version_2_are_read_per_device() -> None:
    texts = {
        "io.max": "8:16 rbps=1 wbps=1 riops=1 wiops=1\n8:0 rbps=max wbps=7 riops=max wiops=9\n"
    }
    assert limits.parse_io(2, "8:0", texts) == IoLimits(write_bytes=7, write_operations=9)
    assert limits.parse_io(2, "8:32", texts) == IoLimits()


def test_io_is_written_only_where_it_is_not_in_force() -> None:
    wanted, current = IoLimits(read_bytes=10, write_bytes=20), IoLimits(read_bytes=5)
    assert limits.io_writes(1, "8:0", wanted, current) == [
        ("blkio.throttle.write_bps_device", "8:0 20")
    ]
    assert limits.io_writes(2, "8:0", wanted, current) == [("io.max", "8:0 wbps=20")]
    assert limits.io_writes(2, "8:0", wanted, wanted) == []


def test_all_io_limits_of_version_2_stand_in_one_line() -> None:
    wanted = IoLimits(read_bytes=1, write_bytes=2, read_operations=3, write_operations=4)
    line = "8:0 rbps=1 wbps=2 riops=3 wiops=4"
    assert limits.io_writes(2, "8:0", wanted, IoLimits()) == [("io.max", line)]
