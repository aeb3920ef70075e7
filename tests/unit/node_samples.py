"""Texts as a real kernel wrote them, and objects as a real API server returned them."""

import json
from typing import Any

from ringfence import names
from ringfence.node import procfs
from ringfence.node.limits import Effective
from ringfence.node.pods import SandboxPod, sandbox_pod
from ringfence.node.posture import Disk, Facts, Node, Resources
from ringfence.node.procfs import IdRange

Json = dict[str, Any]

POD_UID = "bcd0e4d4-2cec-42b4-b8ab-d1bec325a379"
OTHER_UID = "0f0e0d0c-1111-2222-3333-444455556666"
AGENT_ID = "c3a29ca1ea9a83966598fbd7985be41d3aca367063b7717fbd7eb5c0bfbe8606"
PROXY_ID = "d195cc78832f22fac3de262a3c1d60e6bc69665893972ab5956815df2f7ee998"
PAUSE_ID = "ecc4ad9e176dd55a44241d18b381b5d07dd81db26b6dcce27a0f49db01e03ddb"
PROFILE = "ringfence/sandbox-agent-a801bcd8.json"
APP_ARMOR = "sandbox-agent-0a1b2c3d"
STARTED = "2026-11-25T02:46:36Z"
AGENT_UID = 30148
HOST_UID = 887029760 + AGENT_UID
GIB = 2**30

_STATUS = """\
Name:	{name}
Umask:	0022
State:	S (sleeping)
Tgid:	1105
Pid:	1105
PPid:	962
TracerPid:	0
Uid:	{uid}	{uid}	{uid}	{uid}
Gid:	{uid}	{uid}	{uid}	{uid}
FDSize:	64
Groups:	{uid} 
NStgid:	1105	1
NSpid:	{ns_pid}
Threads:	1
SigQ:	0/96365
CapInh:	0000000000000000
CapPrm:	{caps:016x}
CapEff:	{caps:016x}
CapBnd:	{caps:016x}
CapAmb:	0000000000000000
NoNewPrivs:	{nnp}
Seccomp:	{seccomp}
Seccomp_filters:	1
Speculation_Store_Bypass:	vulnerable
Cpus_allowed:	3
"""  # noqa: W291 - the kernel ends a list of groups with a blank


def status_text(**change: Any) -> str:
    """/proc/<pid>/status of an agent, with changes."""
    usual = {
        "name": "tini",
        "uid": HOST_UID,
        "ns_pid": "1105\t1",
        "caps": 0,
        "nnp": 1,
        "seccomp": 2,
    }
    return _STATUS.format(**(usual | change))


def status(**change: Any) -> procfs.Status:
    return procfs.parse_status(status_text(**change))


MOUNTINFO = f"""\
1676 1522 0:395 / / ro,relatime - overlay overlay rw,lowerdir=/tmp/ovl/16/fs,upperdir=/var/lib/23/fs
1678 1676 0:427 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
1679 1676 0:428 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
1682 1676 0:416 / /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro
1693 1676 254:0 /var/lib/kubelet/pods/{POD_UID}/volumes/kubernetes.io~empty-dir/workspace /work rw,relatime,idmapped - ext4 /dev/vda rw,discard
1695 1676 254:0 /var/lib/kubelet/pods/{POD_UID}/etc-hosts /etc/hosts rw,relatime,idmapped - ext4 /dev/vda rw
1696 1679 254:0 /var/lib/kubelet/pods/{POD_UID}/containers/agent/937bb984 /dev/termination-log rw,relatime,idmapped - ext4 /dev/vda rw
1526 1678 0:427 /sys /proc/sys ro,nosuid,nodev,noexec,relatime - proc proc rw
1528 1678 0:6 /null /proc/interrupts rw,relatime master:275 - devtmpfs devtmpfs rw,size=12334460k
"""  # noqa: E501 - lines of the kernel

HARD_MOUNTINFO = MOUNTINFO.replace(
    f"254:0 /var/lib/kubelet/pods/{POD_UID}/volumes/kubernetes.io~empty-dir/workspace /work",
    "7:3 /work /work",
)

LIMITS_TEXT = """\
Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max processes             {soft:<20} {hard:<20} processes 
Max open files            20000                20000                files     
"""  # noqa: W291 - the kernel pads its columns

NAMESPACES = {name: f"{name}:[4026534{n}]" for n, name in enumerate(("cgroup", "ipc", "mnt"))} | {
    "net": "net:[4026534802]",
    "pid": "pid:[4026534881]",
    "user": "user:[4026534801]",
    "uts": "uts:[4026534875]",
}
HOST_NAMESPACES = {name: f"{name}:[4026531835]" for name in NAMESPACES}
NODE = Node(HOST_NAMESPACES, (PROFILE,))
ID_RANGE = IdRange(0, 887029760, 65536)
HARD_DISK = Disk(5 * GIB - 2**26, 327680, "ext4", "7:3", own=True)
SOFT_DISK = Disk(100 * GIB, 6553600, "ext4", "254:0", own=False)

FENCE: Json = {"ports": [443], "resolver": "10.96.0.10"}
LIMITS: Json = {"pids": 256, "diskBytes": 5 * GIB}


def pod_body(limits: Any = LIMITS, **spec: Any) -> Json:
    """The Pod of a Sandbox as the API server returns it, with further fields of the spec."""
    text = limits if isinstance(limits, str) else json.dumps(limits)
    seccomp = {"type": "Localhost", "localhostProfile": PROFILE}
    agent = {
        "name": "agent",
        "securityContext": {"runAsUser": AGENT_UID, "seccompProfile": seccomp},
    }
    variables = [
        {"name": names.LIMITS_VARIABLE, "value": text},
        {"name": names.FENCE_VARIABLE, "value": json.dumps(FENCE)},
    ]
    proxy = {"name": "egress-proxy", "env": variables}
    labels = {names.SANDBOX_UID_LABEL: "any"}
    return {
        "metadata": {"uid": POD_UID, "namespace": "agents", "name": "demo", "labels": labels},
        "spec": {"hostUsers": False, "containers": [agent], "initContainers": [proxy]} | spec,
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {"name": "agent", "state": {"running": {"startedAt": STARTED}}},
            ],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(limits: Any = LIMITS, **spec: Any) -> SandboxPod:
    return sandbox_pod(pod_body(limits, **spec))


def app_armor_pod() -> SandboxPod:
    """The Pod of a Sandbox that asks for an AppArmor profile."""
    body = pod_body()
    context = body["spec"]["containers"][0]["securityContext"]
    context["appArmorProfile"] = {"type": "Localhost", "localhostProfile": APP_ARMOR}
    return sandbox_pod(body)


def resources(**change: Any) -> Resources:
    usual = {
        "pids": Effective(256, "container cgroup"),
        "memory": 2 * GIB,
        "cpu": 1.0,
        "processes": 256,
        "disk": HARD_DISK,
        "io": None,
    }
    return Resources(**(usual | change))


def facts(**change: Any) -> Facts:
    """What the kernel says about a Sandbox in which everything is as it must be."""
    usual = {
        "status": status(),
        "uid_map": (ID_RANGE,),
        "namespaces": NAMESPACES,
        "writable": (),
        "confinement": None,
        "resources": resources(),
        "fenced": True,
    }
    return Facts(**(usual | change))
