"""What the compiled AppArmor policy decides, row by row, as the kernel reads it.

Compiled for a kernel that mediates everything the profile speaks of, and for Linux 5.4, which knows
no socket rules.
"""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles import dfa
from profiles.dfa import ALL, APPEND, EXEC, LINK, LOCK, MAP, READ, WRITE
from ringfence.profiles.access import DENIED, TRIPWIRES
from ringfence.profiles.apparmor import profile_name, render

FULL = "/etc/apparmor.d/abi/3.0"
LINUX_5_4 = "/etc/apparmor.d/abi/kernel-5.4-vanilla"
CHANGES = WRITE | APPEND | LINK

SEED = (
    "/var/lib/aiagent/workspaces/other/file",
    "/app/main.py",
    "/skills/one/SKILL.md",
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/root/.ssh/id_ed25519",
    "/home/sandbox/.ssh/config",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/sudoers.d/agent",
)
MORE = (
    "/var/lib/aiagent",
    "/var/lib/aiagent/",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/var/run/secrets/kubernetes.io/serviceaccount/token",
    "/run/secrets/eks.amazonaws.com/serviceaccount/token",
    "/etc/kubernetes/admin.conf",
    "/var/lib/kubelet/pki/kubelet-client-current.pem",
    "/proc/1/environ",
    "/proc/7/task/8/environ",
    "/proc/7/mem",
    "/proc/kcore",
    "/proc/sysrq-trigger",
    "/sys/kernel/security/apparmor/profiles",
    "/sys/firmware/efi/efivars/x",
    "/dev/kmsg",
    "/dev/sda",
    "/dev/termination-log",
)
READ_ONLY = (
    "/",
    "/etc/passwd",
    "/home/sandbox/.profile",
    "/proc/sys/kernel/core_pattern",
    "/proc/7/attr/exec",
    "/proc/7/oom_score_adj",
    "/sys/fs/cgroup/pids.max",
    "/usr/bin/python3",
    "/var/tmp/x",  # noqa: S108 - asked about, not used
    "/work",
    "/workspace/x",
    "/application",
)
_NAMES = st.text("abz.~-_ 0é", min_size=1, max_size=8).filter(lambda name: name not in {".", ".."})
_BELOW = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)


@pytest.fixture(name="policy", params=[FULL, LINUX_5_4], scope="module")
def _policy(request: pytest.FixtureRequest) -> dfa.Policy:
    return dfa.compiled(render(), request.param)


@pytest.mark.parametrize("path", SEED + MORE)
def test_secret_or_foreign_file_is_out_of_reach_in_every_way(policy: dfa.Policy, path: str) -> None:
    assert policy.file(path) == 0
    assert policy.own_file(path) == 0


@pytest.mark.parametrize("path", SEED + MORE)
def test_every_such_refusal_leaves_an_audit_record(policy: dfa.Policy, path: str) -> None:
    assert policy.silent(path) == 0


@given(st.sampled_from([tree for denial in DENIED for tree in denial.trees]), _BELOW)
def test_nothing_below_a_denied_tree_can_be_touched(tree: str, below: str) -> None:
    policy = dfa.compiled(render(), FULL)
    assert policy.own_file(f"{tree.replace('*', 'x')}/{below}") == 0


@pytest.mark.parametrize("path", READ_ONLY)
def test_image_and_kernel_files_can_be_read_and_not_changed(policy: dfa.Policy, path: str) -> None:
    assert policy.own_file(path) & READ
    assert not policy.own_file(path) & CHANGES


@given(_BELOW)
def test_only_workspace_and_temporary_files_are_writable(below: str) -> None:
    policy = dfa.compiled(render(), FULL)
    assert not policy.own_file(f"/{below}") & CHANGES
    for directory in ("/work", "/tmp", "/dev/shm"):  # noqa: S108 - asked about, not used
        wanted = READ | WRITE | APPEND | LINK | LOCK
        assert policy.own_file(f"{directory}/{below}") & wanted == wanted


@given(_BELOW)
def test_programs_run_from_workspace_and_image_and_never_from_temporary_files(below: str) -> None:
    policy = dfa.compiled(render(), FULL)
    for directory in ("/work", "/usr", "/opt"):
        assert policy.own_file(f"{directory}/{below}") & (EXEC | MAP) == EXEC | MAP
    for directory in ("/tmp", "/dev/shm", "/home/sandbox", "/proc/7/fd"):  # noqa: S108 - as above
        assert not policy.own_file(f"{directory}/{below}") & (EXEC | MAP)


@pytest.mark.parametrize("path", ["/", "/memfd:x"])
def test_file_without_a_name_cannot_be_run(policy: dfa.Policy, path: str) -> None:
    """The kernel gives a memfd the path `/`, or its label where the mount is known."""
    assert not policy.own_file(path) & (EXEC | MAP)


@pytest.mark.parametrize("directory", ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin"])
def test_tripwire_programs_do_not_run_from_the_image(policy: dfa.Policy, directory: str) -> None:
    assert [name for name in TRIPWIRES if policy.own_file(f"{directory}/{name}") & EXEC] == []
    assert policy.own_file(f"{directory}/mountpoint") & EXEC


@pytest.mark.parametrize("device", ["null", "zero", "full", "random", "urandom", "tty", "pts/0"])
def test_ordinary_devices_can_be_used(policy: dfa.Policy, device: str) -> None:
    assert policy.own_file(f"/dev/{device}") & (READ | WRITE) == READ | WRITE


def test_thread_can_be_named(policy: dfa.Policy) -> None:
    assert policy.own_file("/proc/7/task/8/comm") & WRITE


def test_unix_tcp_udp_and_route_sockets_are_all_there_is() -> None:
    policy = dfa.compiled(render(), FULL)
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET)
    allowed = {(f, kind) for f in range(1, 46) for kind in kinds if policy.socket(f, kind)}
    assert allowed == {
        (socket.AF_UNIX, socket.SOCK_STREAM),
        (socket.AF_UNIX, socket.SOCK_DGRAM),
        (socket.AF_UNIX, socket.SOCK_SEQPACKET),
        (socket.AF_INET, socket.SOCK_STREAM),
        (socket.AF_INET, socket.SOCK_DGRAM),
        (socket.AF_INET6, socket.SOCK_STREAM),
        (socket.AF_INET6, socket.SOCK_DGRAM),
        (socket.AF_NETLINK, socket.SOCK_RAW),
    }


def test_every_class_of_actions_is_decided_by_the_policy(policy: dfa.Policy) -> None:
    """The kernel allows what a policy does not mediate, whatever its text says."""
    for kind in (dfa.MOUNT, dfa.PTRACE, dfa.SIGNAL):
        assert policy.mediates(kind)
    assert dfa.compiled(render(), FULL).mediates(dfa.NET)


@given(_BELOW, _BELOW, st.sampled_from(["tmpfs", "proc", "overlay", ""]))
def test_nothing_can_be_mounted_or_unmounted(point: str, source: str, kind: str) -> None:
    policy = dfa.compiled(render(), FULL)
    assert not policy.mount(f"/{point}", f"/{source}", kind)
    assert not policy.unmount(f"/{point}")


def test_processes_of_the_profile_see_and_signal_each_other_and_nobody_else(
    policy: dfa.Policy,
) -> None:
    assert policy.ptrace(profile_name()) == dfa.LOOK | dfa.LOOKED_AT
    assert policy.signal(9, profile_name()) == dfa.SEND | dfa.RECEIVE
    for peer in ("unconfined", "cri-containerd.apparmor.d", "sandbox-agent-00000000"):
        assert policy.ptrace(peer) == 0
        assert not policy.signal(9, peer) & dfa.SEND


@pytest.mark.parametrize("runtime", ["unconfined", "runc", "crun"])
def test_runtime_can_stop_the_container(policy: dfa.Policy, runtime: str) -> None:
    assert policy.signal(15, runtime) == dfa.RECEIVE


def test_a_profile_that_denies_nothing_would_be_noticed() -> None:
    """The reader of the policy must not say "refused" to everything."""
    text = "abi <abi/3.0>,\nprofile x { /** mrwklix, network, ptrace, signal, mount, umount, }"
    policy = dfa.compiled(text, FULL)
    assert {policy.own_file(path) for path in SEED + MORE} == {ALL}
    assert policy.mount("/a", "/b", "tmpfs")
    assert policy.unmount("/a")
    assert policy.socket(socket.AF_PACKET, socket.SOCK_RAW)
    assert policy.ptrace("unconfined") & dfa.TRACE


def test_two_audited_denials_of_mounts_would_allow_them() -> None:
    """Why the profile has no mount rule: if this fails, the parser has learnt better."""
    text = "abi <abi/3.0>,\nprofile x { / r, audit deny mount, audit deny umount, }"
    assert not dfa.compiled(text, FULL).mediates(dfa.MOUNT)
