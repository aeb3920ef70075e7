"""A row passes on proof alone: what succeeded, was not tried or was stopped by chance does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attack.reports import (
    CONFINED,
    HELD,
    LIMITS,
    MIB,
    POWERLESS,
    ROOT,
    filtered,
    refused,
    report,
    row,
    silent,
    through,
    untried,
)
from ringfence.attack.judge import judge
from ringfence.attack.model import Attempt, Identity, Lost, Observed, Outcome, Status, Verdict
from ringfence.attack.rows import ROWS, Row


def verdict(name: str, seen: Observed | Lost) -> Verdict:
    return judge(row(name), seen, LIMITS)


@pytest.mark.parametrize("name", [r.name for r in ROWS])
def test_every_row_can_be_held_and_names_the_layer(name: str) -> None:
    found = verdict(name, HELD[name])
    if row(name).tolerated:
        assert (found.status, found.layer) == (Status.TOLERATED, None)
    else:
        defence = row(name).defences[0]
        assert found[:1] + found[2:4] == (Status.STOPPED, defence.layer, defence.label)


@pytest.mark.parametrize("name", [r.name for r in ROWS])
def test_one_way_through_breaches_any_row(name: str) -> None:
    held = HELD[name]
    seen = held.model_copy(update={"attempts": (*held.attempts, through())})
    assert verdict(name, seen).status is Status.BREACHED


@pytest.mark.parametrize("name", [r.name for r in ROWS])
def test_what_was_not_tried_does_not_pass(name: str) -> None:
    held = HELD[name]
    for seen in (report(untried(), me=held.me), report(me=held.me), Lost("no python3")):
        assert verdict(name, seen).status is Status.INCONCLUSIVE


@pytest.mark.parametrize("name", ["enter-host", "load-module", "ptrace", "crypto-socket"])
def test_a_call_that_only_a_missing_capability_refuses_is_no_proof_of_the_filter(name: str) -> None:
    found = verdict(name, report(filtered(), refused("EPERM")))
    assert found.status is Status.WEAKENED
    assert "seccomp" in found.seen


def test_a_filter_alone_does_not_make_up_for_capabilities() -> None:
    found = verdict("enter-host", report(filtered(), me=ROOT))
    assert found.status is Status.WEAKENED
    assert "no capability" in found.seen


@pytest.mark.parametrize(
    "loss",
    [
        {"uid": 0},
        {"no_new_privileges": 0},
        {"capabilities": "0000000000000001"},
        {"bounding": "0000000000200000"},
    ],
)
def test_any_power_left_weakens_the_way_to_root(loss: dict[str, object]) -> None:
    me = POWERLESS.model_copy(update=loss)
    assert verdict("become-root", report(refused(), me=me)).status is Status.WEAKENED


def test_file_permissions_are_no_read_only_root() -> None:
    seen = report(refused("EACCES"), readOnlyRoot=False)
    assert verdict("remove-root", seen).status is Status.WEAKENED


def test_processes_beyond_the_limit_do_not_pass_even_if_something_stopped_them() -> None:
    seen = report(refused("ENOMEM"), processes=900)
    assert verdict("fork-bomb", seen).status is Status.WEAKENED


def test_memory_bomb_passes_when_the_kernel_kills_its_whole_container() -> None:
    killed = Lost("the whole container was killed (SIGKILL)", out_of_memory=True)
    found = verdict("memory-bomb", killed)
    assert (found.status, found.layer) == (Status.STOPPED, "resources")
    assert verdict("fork-bomb", killed).status is Status.INCONCLUSIVE


def test_a_full_node_is_no_disk_limit() -> None:
    seen = report(refused("ENOSPC"), bytes=100 * MIB, ownVolume=False)
    assert verdict("disk-fill", seen).status is Status.WEAKENED


def test_volume_larger_than_the_limit_does_not_pass() -> None:
    seen = report(refused("ENOSPC"), bytes=5200 * MIB, ownVolume=True)
    assert verdict("disk-fill", seen).status is Status.WEAKENED


def test_silence_of_an_address_where_nobody_listens_proves_nothing() -> None:
    seen = report(silent(), refused("HTTP 403"))
    assert verdict("environment-exfiltration", seen).status is Status.INCONCLUSIVE
    seen = report(silent(known=True), refused("HTTP 403"))
    assert verdict("environment-exfiltration", seen).status is Status.STOPPED


def test_fence_is_proven_for_metadata_by_the_api_server_being_out_of_reach() -> None:
    assert verdict("metadata", report(silent())).status is Status.INCONCLUSIVE
    assert verdict("metadata", report(silent(), silent(known=True))).status is Status.STOPPED


def test_closed_dns_does_not_prove_that_other_ways_are_closed() -> None:
    seen = report(silent(), silent(known=True))
    assert verdict("environment-exfiltration", seen).status is Status.INCONCLUSIVE


def test_network_of_the_host_weakens_the_ports() -> None:
    seen = report(silent(known=True), ownNetworkNamespace=False)
    assert verdict("cluster-ports", seen).status is Status.WEAKENED


@pytest.mark.parametrize(
    "facts",
    [
        {"strangers": 3, "ownPidNamespace": True},
        {"strangers": 0, "ownPidNamespace": False},
        {"strangers": 0},
    ],
)
def test_strangers_in_sight_weaken_other_environments(facts: dict[str, object]) -> None:
    seen = report(refused("EACCES"), **facts)
    assert verdict("other-environments", seen).status is Status.WEAKENED


def test_a_path_that_is_merely_unreadable_is_not_hidden() -> None:
    assert verdict("other-files", report(refused("EACCES"))).status is Status.WEAKENED


@pytest.mark.parametrize("name", ["apparmor-confinement", "apparmor-processes"])
def test_apparmor_rows_ask_for_the_own_profile_where_the_kernel_has_apparmor(name: str) -> None:
    assert verdict(name, report(through())).status is Status.NOT_APPLICABLE
    for profile in (
        "unconfined",
        "cri-containerd.apparmor.d (enforce)",
        "sandbox-agent-1 (complain)",
    ):
        me = CONFINED.model_copy(update={"app_armor": profile})
        assert verdict(name, report(refused("EACCES"), me=me)).status is Status.WEAKENED


def test_workspace_that_cannot_be_emptied_is_not_tolerated_but_unclear() -> None:
    assert verdict("remove-workspace", report(refused(), removed=3, left=3)).status is (
        Status.INCONCLUSIVE
    )


def test_verdict_tells_figures_and_answers() -> None:
    seen = report(
        refused("ENOSPC"), refused("EACCES"), bytes=4900 * MIB, inodes=1000, ownVolume=True
    )
    assert verdict("disk-fill", seen).seen == "4,900 MiB, 1,000 inodes, ENOSPC, EACCES"


def test_defences_that_would_have_stopped_it_too_are_named() -> None:
    assert verdict("load-module", report(filtered())).also == (
        "process (no capability, no new privileges)",
    )
    assert verdict("load-module", report(filtered(), me=ROOT)).also == ()


_ATTEMPTS = st.builds(
    Attempt,
    what=st.just("try"),
    outcome=st.sampled_from(("through", "refused", "silent", "untried")),
    errno=st.sampled_from(("", "EPERM", "ENOENT", "EROFS", "timeout")),
    filter=st.sampled_from(("", "EPERM")),
    known=st.booleans(),
)
_IDENTITIES = st.sampled_from((POWERLESS, ROOT, CONFINED))
_FACTS = st.dictionaries(
    st.sampled_from(("readOnlyRoot", "processes", "bytes", "ownVolume", "removed", "left")),
    st.one_of(st.booleans(), st.integers(0, 1 << 40)),
)


@given(st.sampled_from(ROWS), st.lists(_ATTEMPTS, max_size=4), _IDENTITIES, _FACTS)
def test_no_report_with_a_success_or_a_gap_ever_passes(
    tried: Row, attempts: list[Attempt], me: Identity, facts: dict[str, int]
) -> None:
    seen = Observed(attempts=tuple(attempts), facts=dict(facts), me=me)
    bad: set[Outcome] = {"through", "untried"}
    found = judge(tried, seen, LIMITS).status
    if found is Status.NOT_APPLICABLE:
        assert tried.needs_app_armor
        assert not me.app_armor_in_kernel
    elif not attempts or bad & {a.outcome for a in attempts}:
        assert not found.passed
