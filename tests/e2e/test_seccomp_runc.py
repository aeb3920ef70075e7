"""The profile as the real runc loads it: each dangerous call is refused by the filter itself.

No cluster is needed. Every row of the probe is asked three times: as root with all capabilities
and the profile, the same without it, and as an unprivileged user with it. A row that sounds the
same with and without the profile would prove nothing, and fails.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from cluster.progress import Progress
from cluster.rootfs import prepare_host
from probes import syscalls
from probes.expected import indistinguishable, wrong_under_profile
from probes.runc import Container, run
from ringfence.profiles.seccomp import Arch, profile

PROBE = Path(syscalls.__file__)


@pytest.fixture(autouse=True, scope="module")
def _runc() -> None:
    prepare_host(Progress())


def _answers(*, filtered: bool, privileged: bool) -> dict[str, int]:
    seccomp = profile(Arch(platform.machine())) if filtered else None
    answers: dict[str, int] = json.loads(run(Container(seccomp, privileged), PROBE))
    return answers


@pytest.fixture(name="filtered", scope="module")
def _filtered() -> dict[str, int]:
    return _answers(filtered=True, privileged=True)


@pytest.fixture(name="free", scope="module")
def _free() -> dict[str, int]:
    return _answers(filtered=False, privileged=True)


def test_root_with_all_capabilities_gets_the_promised_answer_in_every_row(
    filtered: dict[str, int],
) -> None:
    assert wrong_under_profile(filtered) == {}


def test_an_unprivileged_user_gets_the_promised_answer_in_every_row() -> None:
    assert wrong_under_profile(_answers(filtered=True, privileged=False)) == {}


def test_every_refusal_comes_from_the_profile_and_not_from_the_kernel(
    filtered: dict[str, int], free: dict[str, int]
) -> None:
    assert indistinguishable(filtered, free) == set()


def test_what_programs_need_works_without_the_profile_too(free: dict[str, int]) -> None:
    assert {row: free[row] for row in syscalls.ALLOWED if free[row] != 0} == {}
