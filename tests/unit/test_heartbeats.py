"""Whether a node agent lives, by the operator's clock alone."""

from hypothesis import given
from hypothesis import strategies as st

from ringfence.heartbeats import PATIENCE_SECONDS, Heartbeats
from samples import sandbox_node


class Book:
    """Heartbeats with a clock that only moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.heartbeats = Heartbeats(lambda: self.now)

    def beat(self, name: str, renewed: object) -> bool:
        return self.heartbeats.enter(sandbox_node(name, renewed=str(renewed)))

    def is_live(self, name: str) -> bool:
        return self.heartbeats.nodes[name].live


def test_an_agent_is_overdue_when_its_renew_time_stays_the_same_for_40_s() -> None:
    book = Book()
    book.beat("a", 1)
    for _ in range(5):
        book.now += 8.0
        assert book.heartbeats.overdue() == ([] if book.now < 1000 + PATIENCE_SECONDS else ["a"])
        book.beat("a", 1)


def test_a_clock_of_the_node_that_is_wrong_does_not_matter() -> None:
    book = Book()
    for time in ("2099-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "nonsense"):
        book.beat("a", time)
        book.now += 30.0
        assert not book.heartbeats.overdue()


def test_a_heartbeat_alone_changes_nothing() -> None:
    book = Book()
    assert book.beat("a", 1) is True
    assert book.beat("a", 2) is False


def test_other_profiles_change_the_node() -> None:
    book = Book()
    book.beat("a", 1)
    assert book.heartbeats.enter(sandbox_node("a", renewed="1", seccomp=())) is True


def test_a_lost_agent_comes_back_with_its_next_heartbeat_and_not_before() -> None:
    book = Book()
    book.beat("a", 1)
    book.heartbeats.lose("a")
    assert book.beat("a", 1) is False
    assert not book.is_live("a")
    assert book.beat("a", 2) is True
    assert book.is_live("a")


def test_a_full_list_brings_and_takes_nodes_and_names_those_that_changed() -> None:
    book = Book()
    book.beat("gone", 1)
    book.beat("same", 1)
    changed = book.heartbeats.replace([sandbox_node("same", renewed="1"), sandbox_node("new")])
    assert sorted(changed) == ["gone", "new"]
    assert sorted(book.heartbeats.nodes) == ["new", "same"]


def test_what_was_handed_out_does_not_change_any_more() -> None:
    book = Book()
    book.beat("a", 1)
    before = book.heartbeats.nodes
    book.beat("b", 1)
    book.heartbeats.lose("a")
    book.heartbeats.forget("a")
    assert list(before) == ["a"]
    assert before["a"].live


_STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("beat same tick".split())))  # noqa: SIM905 - reads better


@given(_STEPS)
def test_an_agent_is_never_lost_within_40_s_of_its_last_heartbeat(
    steps: list[tuple[str, str]],
) -> None:
    book, last, count = Book(), dict.fromkeys("abc", 1000.0), 0
    for name in "abc":
        book.beat(name, 0)
    for name, what in steps:
        if what == "tick":
            book.now += 13.0
        elif what == "beat":
            count += 1
            last[name] = book.now
            book.beat(name, count)
        for late in book.heartbeats.overdue():
            book.heartbeats.lose(late)
        for each in "abc":
            assert book.is_live(each) == (book.now - last[each] < PATIENCE_SECONDS)
