"""The probe of the e2e tests asks what it says: right numbers, and the whole table of the seed."""

from __future__ import annotations

import pytest

from probes import expected, syscalls
from profiles import seed
from profiles.bpf import number
from ringfence.profiles.seccomp import Arch


@pytest.mark.parametrize("arch", Arch)
def test_probe_numbers_are_the_kernels(arch: Arch) -> None:
    column = list(Arch).index(arch)
    for call, numbers in syscalls.NUMBERS.items():
        wanted = number(call, arch)
        assert numbers[column] == (syscalls.ABSENT if wanted is None else wanted), call


def test_probe_asks_for_every_call_of_the_seeds_table() -> None:
    assert set(seed.BLOCKED) <= {call for call, _ in syscalls.REFUSED.values()}


def test_expectations_name_rows_that_exist() -> None:
    rows = set(syscalls.REFUSED)
    assert rows >= expected.MISSING
    assert rows >= expected.NEEDS_ROOT_TO_TELL


def test_a_lost_defence_would_be_noticed() -> None:
    free = {"mount": 2, "clone3": 22, "int80_socketcall": 22, "ioctl_tcgets": 1, "statx": 38}
    assert set(expected.wrong_under_profile(free)) == set(free)
    assert expected.indistinguishable(free, {**free, "mount": 1}) == {"clone3", "int80_socketcall"}
