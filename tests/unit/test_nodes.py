"""What is known about the nodes, and the questions that are asked about them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence import nodes
from ringfence.nodes import Nodes, NodeView, Profiles
from ringfence.resources.pod import pod
from samples import SETTINGS, accepted, sandbox_class, sandbox_node

SECCOMP = "ringfence/sandbox-agent-1.json"
ARMOR = "sandbox-agent-1"


def _node(*, live: bool = True, seccomp: bool = True, armor: bool = False) -> NodeView:
    return NodeView(
        live, frozenset([SECCOMP] if seccomp else []), frozenset([ARMOR] if armor else [])
    )


def test_a_node_is_read_from_what_its_agent_wrote() -> None:
    body = sandbox_node(seccomp=(SECCOMP,), app_armor=(ARMOR,))
    assert nodes.view(body, live=True) == _node(armor=True)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["seccompProfiles", "appArmor", "profiles", "x"]),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_whatever_an_agent_of_another_version_writes_is_read_without_an_error(status: Any) -> None:
    found = nodes.view({"metadata": {"name": "n"}, "status": status}, live=True)
    assert all(isinstance(text, str) for text in found.seccomp | found.app_armor)


def test_profiles_are_those_that_the_agent_container_names() -> None:
    plain = pod(accepted(), SETTINGS, 31234)
    rules = sandbox_class(appArmor={"mode": "Required", "profile": ARMOR})
    confined = pod(accepted(None, rules), SETTINGS, 31234)
    assert nodes.profiles_of(plain).seccomp.startswith("ringfence/sandbox-agent-")
    assert nodes.profiles_of(plain).app_armor is None
    assert nodes.profiles_of(confined).app_armor == ARMOR


CONFINED = Profiles(SECCOMP, ARMOR)
STARTABLE: dict[str, tuple[Nodes, Profiles, bool]] = {
    "no node": ({}, Profiles(SECCOMP, None), False),
    "one that has it": ({"a": _node()}, Profiles(SECCOMP, None), True),
    "one whose agent is lost": ({"a": _node(live=False)}, Profiles(SECCOMP, None), False),
    "one that has another": ({"a": _node(seccomp=False)}, Profiles(SECCOMP, None), False),
    "no AppArmor": ({"a": _node()}, CONFINED, False),
    "each has one of two": ({"a": _node(), "b": _node(seccomp=False, armor=True)}, CONFINED, False),
    "one has both": ({"a": _node(), "b": _node(armor=True)}, CONFINED, True),
}


@pytest.mark.parametrize("row", STARTABLE)
def test_a_pod_can_start_where_one_live_node_has_all_that_it_names(row: str) -> None:
    known, wanted, can = STARTABLE[row]
    assert nodes.any_has(known, wanted) is can


AUTO: dict[str, tuple[Nodes, bool]] = {
    "no node": ({}, False),
    "all": ({"a": _node(armor=True), "b": _node(armor=True)}, True),
    "not all": ({"a": _node(armor=True), "b": _node()}, False),
    "all that can run Pods": ({"a": _node(armor=True), "b": _node(seccomp=False)}, True),
    "all that live": ({"a": _node(armor=True), "b": _node(live=False)}, True),
    "only a lost one": ({"a": _node(live=False, armor=True)}, False),
}


@pytest.mark.parametrize("row", AUTO)
def test_auto_means_app_armor_where_every_live_node_that_takes_pods_has_it(row: str) -> None:
    known, asked = AUTO[row]
    assert nodes.all_confine(known, SECCOMP, ARMOR) is asked
