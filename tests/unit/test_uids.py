"""One uid per Sandbox, whatever happens."""

from hypothesis import given
from hypothesis import strategies as st

from ringfence.api import Json
from ringfence.uids import Uids


def _recorded(name: str, uid: int | None, age: int) -> Json:
    meta = {"uid": name, "creationTimestamp": f"2026-01-{age:02}"}
    return {"metadata": meta, "status": {} if uid is None else {"uid": uid}}


@given(st.lists(st.tuples(st.sampled_from("cr"), st.integers(0, 9)), max_size=60))
def test_no_two_sandboxes_ever_hold_the_same_uid(steps: list[tuple[str, int]]) -> None:
    uids, held = Uids(100, 104), dict[str, int]()
    for action, number in steps:
        owner = f"sandbox-{number}"
        if action == "r":
            uids.release(owner)
            held.pop(owner, None)
        elif (uid := uids.claim(owner, None)) is not None:
            held[owner] = uid
    assert len(set(held.values())) == len(held)
    assert all(100 <= uid <= 104 for uid in held.values())


def test_recorded_uid_is_kept_over_a_restart() -> None:
    first = Uids(100, 199)
    uid = first.claim("a", None)
    second = Uids(100, 199)
    second.seed([_recorded("a", uid, 1)])
    assert second.claim("a", uid) == uid


def test_of_two_with_one_uid_the_older_keeps_it() -> None:
    uids = Uids(100, 199)
    uids.seed([_recorded("young", 150, 2), _recorded("old", 150, 1)])
    assert uids.claim("old", 150) == 150
    assert uids.claim("young", 150) != 150


def test_uid_outside_the_range_is_replaced() -> None:
    assert Uids(100, 199).claim("a", 0) in range(100, 200)


def test_full_range_gives_nothing_until_one_is_released() -> None:
    uids = Uids(100, 100)
    assert uids.claim("a", None) == 100
    assert uids.claim("b", None) is None
    uids.release("a")
    assert uids.claim("b", None) == 100
