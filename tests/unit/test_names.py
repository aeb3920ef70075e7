"""Names that a cluster must accept, whatever a profile or a Sandbox is called."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence import names

_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def test_label_of_a_profile_is_its_name() -> None:
    label = names.seccomp_label("ringfence/sandbox-agent-0a1b2c3d.json")
    assert label == "seccomp.ringfence.dev/sandbox-agent-0a1b2c3d"
    assert names.app_armor_label("sandbox-agent-1f") == "apparmor.ringfence.dev/sandbox-agent-1f"


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,252}", fullmatch=True))
def test_label_of_any_profile_is_one_that_a_node_can_have(profile: str) -> None:
    for label in (names.seccomp_label(profile), names.app_armor_label(profile)):
        assert _LABEL_NAME.fullmatch(label.partition("/")[2]), label


@pytest.mark.parametrize("tail", ["one", "two", "one-", "one_"])
def test_long_profiles_that_begin_alike_have_labels_of_their_own(tail: str) -> None:
    others = {"one", "two", "one-", "one_"} - {tail}
    long = "x" * 100
    labels = {names.app_armor_label(long + other) for other in others}
    assert names.app_armor_label(long + tail) not in labels
