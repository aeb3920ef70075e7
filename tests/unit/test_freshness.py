"""A pass is spared only if everything that was told is what the last pass saw or wrote itself."""

import asyncio

import pytest

from ringfence.freshness import Freshness, Verdict, version
from ringfence.kinds import POD, ApiError
from ringfence.workqueue import Key
from samples import sandbox
from world import KEY, World, ready

A, B = Key("ns", "a"), Key("ns", "b")


def _body(resource_version: str) -> dict[str, dict[str, str]]:
    return {"metadata": {"uid": "u", "resourceVersion": resource_version}}


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fresh(clock: Clock) -> Freshness:
    """Key A came to rest with versions 1 and 2."""
    made = Freshness(clock)
    made.settle(A, [version(_body("1")), version(_body("2"))], None)
    return made


def test_versions_that_were_seen_need_no_pass(fresh: Freshness) -> None:
    fresh.told(A, _body("1"))
    fresh.told(A, _body("2"))
    assert fresh.check(A) == Verdict(needed=False)


def test_a_version_that_was_not_seen_needs_a_pass(fresh: Freshness) -> None:
    fresh.told(A, _body("2"))
    fresh.told(A, _body("3"))
    assert fresh.check(A).needed


def test_other_news_needs_a_pass_whatever_else_was_told(fresh: Freshness) -> None:
    fresh.news(A)
    fresh.told(A, _body("1"))
    assert fresh.check(A).needed


def test_without_any_word_a_pass_is_needed(fresh: Freshness) -> None:
    """The queue itself brings keys back: after an error, or when a pass asked for it."""
    assert fresh.check(A).needed


def test_each_key_has_news_of_its_own(fresh: Freshness) -> None:
    fresh.told(B, _body("1"))
    fresh.told(A, _body("1"))
    assert fresh.check(B).needed
    assert not fresh.check(A).needed


def test_nothing_counts_as_seen_while_a_pass_has_not_come_to_rest(fresh: Freshness) -> None:
    fresh.begin(A)
    fresh.told(A, _body("1"))
    assert fresh.check(A).needed


def test_a_pass_that_wanted_to_be_repeated_is_not_forgotten(fresh: Freshness, clock: Clock) -> None:
    fresh.settle(A, [version(_body("1"))], 15.0)
    clock.now = 110.0
    fresh.told(A, _body("1"))
    assert fresh.check(A) == Verdict(needed=False, again=5.0)
    clock.now = 115.0
    fresh.told(A, _body("1"))
    assert fresh.check(A).needed


async def test_events_of_our_own_writes_cost_no_read() -> None:
    world = await ready()
    for body in list(world.kube.objects.values()):
        if body["metadata"].get("namespace") == KEY.namespace:
            world.books.freshness.told(KEY, body)
    world.kube.fault = lambda verb, _kind: ApiError(500, "Unexpected", verb)
    await world.run()


async def test_an_edit_by_another_hand_is_repaired_though_versions_were_seen_before() -> None:
    world = await ready()
    pod = world.child(POD)
    pod["spec"]["containers"][0]["image"] = "evil:1"
    pod["metadata"]["resourceVersion"] = "9999"
    world.books.freshness.told(KEY, world.child(POD))
    await world.run()
    assert not world.exists(POD)


def test_a_sandbox_that_was_never_settled_is_always_looked_at() -> None:
    async def scenario() -> None:
        world = World(sandbox())
        world.books.freshness.told(KEY, sandbox())
        await world.run()
        assert world.exists(POD)

    asyncio.run(scenario())
