"""Each sign of death alone calls for a restart; a quiet, idle or cut-off operator does not."""

from dataclasses import replace

import pytest

from ringfence.liveness import Limits, Signs, ailment

LIMITS = Limits(silence=100.0, loop_lag=5.0, key_age=600.0)
AT_THE_LIMIT = Signs(now=1000.0, last_watch_or_resync=900.0, loop_lag=5.0, oldest_key_age=600.0)


def test_all_signs_at_their_limit_are_still_well() -> None:
    assert ailment(AT_THE_LIMIT, LIMITS) is None


@pytest.mark.parametrize(
    ("sign", "value", "reason"),
    [
        ("last_watch_or_resync", 899.0, "no watch event and no resync for 101 s"),
        ("loop_lag", 5.1, "the event loop is 5.1 s late"),
        ("oldest_key_age", 601.0, "a Sandbox has been waiting for 601 s"),
    ],
)
def test_each_sign_beyond_its_limit_names_its_reason(sign: str, value: float, reason: str) -> None:
    assert ailment(replace(AT_THE_LIMIT, **{sign: value}), LIMITS) == reason


@pytest.mark.parametrize("interval", [1.0, 600.0, 86400.0])
def test_a_quiet_cluster_is_well_from_one_resync_to_the_next(interval: float) -> None:
    limits = Limits.for_resync(interval)
    spread_and_slow_list = 60.0
    silence = interval + spread_and_slow_list
    assert ailment(Signs(silence, 0.0, 0.0, 0.0), limits) is None
