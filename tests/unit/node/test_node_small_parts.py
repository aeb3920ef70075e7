"""Schedule, book, health and settings of the node agent."""

from pathlib import Path

import pytest

from node_samples import POD_UID, PROFILE, pod_body
from ringfence.node.book import Book, Gone, Listed, Seen
from ringfence.node.health import Health
from ringfence.node.schedule import Schedule
from ringfence.node.settings import NodeSettings
from ringfence.profiles.provider import Provider, profile_names

WHO = {"RINGFENCE_NODE_NAME": "node-1", "RINGFENCE_NODE_POD_UID": "u"}


def test_the_sooner_of_two_moments_counts() -> None:
    due: Schedule[str] = Schedule()
    due.at("a", 10)
    due.at("a", 5)
    due.at("a", 7)
    assert due.wait(now=1) == 4
    assert due.pop(now=4.9) == []
    assert due.pop(now=5) == ["a"]
    assert due.wait(now=5) is None


def test_what_is_due_longest_comes_first() -> None:
    due: Schedule[str] = Schedule()
    due.at("late", 2)
    due.at("early", 1)
    due.at("never", 100)
    assert due.wait(now=3) == 0
    assert due.pop(now=3) == ["early", "late"]


def test_list_replaces_what_was_known() -> None:
    book = Book()
    assert book.profiles_in_use() is None
    assert book.note(Seen(pod_body())) == [POD_UID]
    assert book.note(Listed(())) == []
    assert book.pods == {}
    assert book.profiles_in_use() == set()


def test_profiles_of_all_pods_are_in_use() -> None:
    book = Book()
    book.note(Listed((pod_body(),)))
    assert book.profiles_in_use() == {PROFILE}


def test_answer_about_a_pod_that_went_is_dropped() -> None:
    book = Book()
    book.note(Seen(pod_body()))
    book.note(Gone(POD_UID))
    book.update(pod_body())
    assert book.pods == {}


def test_hanging_loop_is_an_ailment_and_a_silent_api_server_is_none() -> None:
    health = Health(turned=0, published=0, problems=())
    assert health.ailment(59) is None
    assert health.ailment(61) is not None
    health.turned = 100
    assert health.ailment(101) is None
    assert health.unready(101) == "the API server takes no heartbeat"


def test_ready_means_profiles_and_heartbeat() -> None:
    health = Health(turned=0)
    assert health.unready(0) == "not looked yet"
    health.problems = ("x.json: missing",)
    assert health.unready(0) == "x.json: missing"
    health.problems = ()
    assert health.unready(0) is not None
    health.published = 0
    assert health.unready(39) is None


def test_settings_have_defaults_and_come_from_the_environment() -> None:
    settings = NodeSettings.from_environment(WHO | {"RINGFENCE_NODE_PORT": "9000"})
    assert settings.installs
    assert settings.profiles == profile_names(Provider.BUILTIN)
    assert settings.node_port == 9000
    assert settings.node_cgroup_root == Path("/host/cgroup")


def test_profiles_of_others_are_only_verified() -> None:
    given = {
        "RINGFENCE_PROFILES_PROVIDER": "Preinstalled",
        "RINGFENCE_SECCOMP_PROFILE": "agents/strict.json",
        "RINGFENCE_APP_ARMOR_PROFILE": "strict",
    }
    settings = NodeSettings.from_environment(WHO | given)
    assert not settings.installs
    assert settings.profiles == ("agents/strict.json", "strict")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"RINGFENCE_NODE_NAME": ""}, "RINGFENCE_NODE_NAME"),
        ({"RINGFENCE_NODE_POD_UID": ""}, "RINGFENCE_NODE_POD_UID"),
        ({"RINGFENCE_PROFILES_PROVIDER": "Mine"}, "'Mine'"),
        ({"RINGFENCE_NODE_SCAN_SECONDS": "soon"}, "RINGFENCE_NODE_SCAN_SECONDS='soon'"),
        ({"RINGFENCE_NODE_SCAN_SECONDS": "0"}, "RINGFENCE_NODE_SCAN_SECONDS='0'"),
    ],
)
def test_wrong_setting_is_refused_by_name(given: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        NodeSettings.from_environment(WHO | given)
