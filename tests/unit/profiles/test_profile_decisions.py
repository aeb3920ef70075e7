"""What the loaded filter decides, call by call, by the program libseccomp makes of the profile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles import seed
from profiles.bpf import ALLOW, KILL, Filter, number, product_filter
from ringfence.profiles.seccomp import ENOSYS, EPERM, Arch
from ringfence.profiles.syscalls import ALLOWED, ARGUMENT_RULES, MISSING, REFUSED

TIOCSTI, TIOCLINUX = 0x5412, 0x541C
UPPER_HALVES = (0, 0x1_0000_0000, 0xFFFF_FFFF_0000_0000)
BOTH = pytest.mark.parametrize("arch", Arch)
# A 64-bit register: anything, small numbers, and small numbers under a dirty upper half.
_low = st.one_of(st.integers(0, 64), st.integers(0, 0x1FFFF), st.integers(0, 0xFFFF_FFFF))
registers = st.builds(lambda upper, low: upper | low, st.sampled_from(UPPER_HALVES), _low)


def _existing(names: tuple[str, ...], arch: Arch) -> list[str]:
    return [name for name in names if number(name, arch) is not None]


@BOTH
def test_every_unconditional_name_is_allowed_whatever_its_arguments(arch: Arch) -> None:
    for group in ALLOWED:
        for name in _existing(group.names, arch):
            assert product_filter(arch).decide(name, *[0xFFFF_FFFF_FFFF_FFFF] * 6) == ALLOW, name


@BOTH
def test_calls_that_runtimes_probe_answer_not_implemented(arch: Arch) -> None:
    for group in MISSING:
        for name in _existing(group.names, arch):
            assert product_filter(arch).decide(name) == ENOSYS, name


@BOTH
def test_refused_calls_answer_not_permitted(arch: Arch) -> None:
    for group in REFUSED:
        for name in _existing(group.names, arch):
            assert product_filter(arch).decide(name) == EPERM, name


@BOTH
def test_every_row_of_the_table_of_dangerous_calls_is_refused(arch: Arch) -> None:
    for name, arguments in seed.BLOCKED.items():
        if number(name, arch) is not None:
            wanted = ENOSYS if name in seed.BLOCKED_AS_MISSING else EPERM
            assert product_filter(arch).decide(name, *arguments) == wanted, name


@BOTH
def test_no_number_is_allowed_that_the_table_does_not_name(arch: Arch) -> None:
    names = {name for group in ALLOWED for name in group.names} | {r.name for r in ARGUMENT_RULES}
    named = {number(name, arch) for name in names}
    allowed = {call for call in range(1024) if product_filter(arch).decide(call) == ALLOW}
    assert allowed <= named


@BOTH
def test_only_two_terminal_requests_are_refused_of_the_whole_low_range(arch: Arch) -> None:
    ioctl, loaded = number("ioctl", arch), product_filter(arch)
    assert ioctl is not None
    refused = [request for request in range(0x20000) if loaded.decide(ioctl, 0, request) != ALLOW]
    assert refused == [TIOCSTI, TIOCLINUX]


@given(request=registers)
def test_a_terminal_request_is_judged_by_the_32_bits_the_kernel_reads(request: int) -> None:
    harmless = request & 0xFFFF_FFFF not in (TIOCSTI, TIOCLINUX)
    for arch in Arch:
        assert (product_filter(arch).decide("ioctl", 0, request) == ALLOW) == harmless


@BOTH
@pytest.mark.parametrize("upper", UPPER_HALVES)
@pytest.mark.parametrize("request_number", [TIOCSTI, TIOCLINUX])
def test_the_upper_half_of_the_register_does_not_smuggle_a_terminal_request(
    arch: Arch, upper: int, request_number: int
) -> None:
    assert product_filter(arch).decide("ioctl", 0, upper | request_number) == EPERM


NAMESPACES = (0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000)


@BOTH
@pytest.mark.parametrize("flag", [*NAMESPACES, 0x4000_0000])
def test_clone_makes_no_namespace(arch: Arch, flag: int) -> None:
    for upper in UPPER_HALVES:
        assert product_filter(arch).decide("clone", upper | flag | 17) == EPERM


@given(flags=registers)
def test_clone_is_allowed_exactly_without_namespace_flags(flags: int) -> None:
    for arch in Arch:
        allowed = product_filter(arch).decide("clone", flags) == ALLOW
        assert allowed == (flags & 0x7E02_0000 == 0)


@BOTH
def test_threads_and_forks_are_allowed(arch: Arch) -> None:
    pthread_create, fork = 0x3D0F00, 0x1200011
    assert product_filter(arch).decide("clone", pthread_create) == ALLOW
    assert product_filter(arch).decide("clone", fork) == ALLOW


@given(persona=registers)
def test_personality_is_only_read_or_left_at_the_default(persona: int) -> None:
    for arch in Arch:
        allowed = product_filter(arch).decide("personality", persona) == ALLOW
        assert allowed == (persona in (0, 0xFFFF_FFFF))


def _socket_is_wanted(family: int, kind: int, protocol: int) -> bool:
    kind &= 0xF
    if family == 1:
        return kind in (1, 2, 5)
    if family in (2, 10):
        return (kind, protocol) in {(1, 0), (1, 6), (2, 0), (2, 17)}
    return family == 16 and protocol == 0


@BOTH
def test_sockets_are_unix_tcp_udp_and_route_netlink_of_all_families_and_types(arch: Arch) -> None:
    socket, loaded = number("socket", arch), product_filter(arch)
    assert socket is not None
    for family in range(48):
        for kind in range(16):
            for protocol in (0, 1, 6, 12, 17, 132, 256, 262):
                allowed = loaded.decide(socket, family, kind, protocol) == ALLOW
                assert allowed == _socket_is_wanted(family, kind, protocol), (family, kind)


@given(family=registers, kind=registers, protocol=registers)
def test_no_register_content_opens_another_kind_of_socket(
    family: int, kind: int, protocol: int
) -> None:
    for arch in Arch:
        if product_filter(arch).decide("socket", family, kind, protocol) == ALLOW:
            assert _socket_is_wanted(family & 0xFFFF_FFFF, kind, protocol & 0xFFFF_FFFF)


@BOTH
@pytest.mark.parametrize("flags", [0, 0x800, 0x80000, 0x80800])
def test_socket_flags_do_not_matter(arch: Arch, flags: int) -> None:
    assert product_filter(arch).decide("socket", 2, 1 | flags, 0) == ALLOW
    assert product_filter(arch).decide("socket", 2, 3 | flags, 0) == EPERM


@BOTH
@pytest.mark.parametrize(("family", "answer"), [(1, ALLOW), (30, EPERM), (2, EPERM)])
def test_socket_pairs_are_unix_only(arch: Arch, family: int, answer: str | int) -> None:
    assert product_filter(arch).decide("socketpair", family, 1, 0) == answer


FILE_TYPES = {0x1000: True, 0x8000: True, 0xC000: True, 0: True}


@given(mode=registers)
def test_nodes_are_fifos_sockets_and_files_only(mode: int) -> None:
    wanted = FILE_TYPES.get(mode & 0xF000, False)
    for arch in Arch:
        assert (product_filter(arch).decide("mknodat", 0, 0, mode) == ALLOW) == wanted
    assert (product_filter(Arch.X86_64).decide("mknod", 0, mode) == ALLOW) == wanted


@given(flags=registers)
def test_execveat_needs_a_path(flags: int) -> None:
    for arch in Arch:
        allowed = product_filter(arch).decide("execveat", 3, 0, 0, 0, flags) == ALLOW
        assert allowed == (not flags & 0x1000)


@BOTH
def test_the_way_round_through_32_bit_calls_is_killed(arch: Arch) -> None:
    socketcall, getpid = 102, 20
    assert product_filter(arch).decide_i386(socketcall) == KILL
    assert product_filter(arch).decide_i386(getpid) == KILL


def test_the_way_round_through_x32_calls_is_killed() -> None:
    x32: int = 0x4000_0000
    assert product_filter(Arch.X86_64).decide(x32 | 39) == KILL


@BOTH
def test_the_program_is_far_below_the_kernel_limit(arch: Arch) -> None:
    loaded: Filter = product_filter(arch)
    assert len(loaded.program) < 1024  # the kernel takes 4096; each call runs a tree of these
