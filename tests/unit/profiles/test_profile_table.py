"""The table itself: no name twice, no name in two answers, and nothing newer left to chance."""

from __future__ import annotations

from collections import Counter

import pytest

from profiles import seed
from profiles.bpf import number, product_filter
from ringfence.profiles.seccomp import Arch
from ringfence.profiles.syscalls import ALLOWED, ARGUMENT_RULES, MISSING, REFUSED, Group

FIRST_NUMBER_OF_LINUX_5_1 = 424
NEWER_BUT_REFUSED_AS_ATTACKS = {
    "memfd_secret",
    "pidfd_getfd",
    "process_madvise",
    "process_mrelease",
}


def _names(groups: tuple[Group, ...]) -> list[str]:
    return [name for group in groups for name in group.names]


CONDITIONAL = {rule.name for rule in ARGUMENT_RULES}


def test_every_name_has_exactly_one_answer() -> None:
    counts = Counter([*_names(ALLOWED), *_names(MISSING), *_names(REFUSED), *CONDITIONAL])
    assert [name for name, times in counts.items() if times > 1] == []


def test_every_group_says_why() -> None:
    for group in (*ALLOWED, *MISSING, *REFUSED):
        assert group.why.strip()
        assert group.names


def test_no_argument_rule_puts_two_conditions_on_one_argument() -> None:
    for rule in ARGUMENT_RULES:
        indexes = [condition.argument for condition in rule.conditions]
        assert len(indexes) == len(set(indexes)), rule


def test_no_condition_asks_for_bits_outside_its_mask() -> None:
    for rule in ARGUMENT_RULES:
        for condition in rule.conditions:
            assert condition.value & ~condition.mask == 0, rule


def test_every_call_of_the_seed_is_allowed_or_a_difference_with_a_reason() -> None:
    assert seed.ALLOWED - set(_names(ALLOWED)) == set(seed.DIFFERENCES)
    assert all(seed.DIFFERENCES.values())


@pytest.mark.parametrize("arch", Arch)
def test_every_number_since_linux_5_1_is_allowed_or_answers_not_implemented(arch: Arch) -> None:
    attacks = {number(name, arch) for name in NEWER_BUT_REFUSED_AS_ATTACKS}
    answers = {
        call: product_filter(arch).decide(call)
        for call in range(FIRST_NUMBER_OF_LINUX_5_1, 600)
        if call not in attacks
    }
    assert {call: answer for call, answer in answers.items() if answer == 1} == {}


@pytest.mark.parametrize("arch", Arch)
def test_names_of_the_table_exist_in_linux(arch: Arch) -> None:
    """A misspelt name would be skipped by the runtime without a word."""
    names = {*_names(ALLOWED), *_names(MISSING), *CONDITIONAL}
    unknown = {name for name in names if number(name, arch) is None}
    other = Arch.AARCH64 if arch is Arch.X86_64 else Arch.X86_64
    only_elsewhere = {name for name in unknown if number(name, other) is not None}
    assert unknown - only_elsewhere <= NEWER_THAN_LIBSECCOMP_2_5


NEWER_THAN_LIBSECCOMP_2_5 = {
    "file_getattr",
    "file_setattr",
    "getxattrat",
    "listmount",
    "listns",
    "listxattrat",
    "lsm_get_self_attr",
    "lsm_list_modules",
    "lsm_set_self_attr",
    "mseal",
    "open_tree_attr",
    "removexattrat",
    "setxattrat",
    "statmount",
    "uprobe",
    "uretprobe",
}
