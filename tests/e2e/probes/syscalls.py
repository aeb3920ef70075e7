"""Ask the kernel for each dangerous system call and print what it answered, as JSON.

Runs inside a sandbox with nothing but Python 3.11 (`kubectl exec -i ... python3 - < syscalls.py`).
Each row is tried in a child of its own, because a filter may kill the caller. The answer is 0 for
success, an errno, or minus the signal that ended the child.

No row can take effect, not even for root without any filter: paths do not exist, descriptors are
closed, magic numbers and pointers are wrong. The arguments are chosen so that the kernel notices
*that* before it looks at rights; an answer of EPERM then comes from a filter and from nowhere else.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import platform
import struct
import sys

ABSENT = -1  # in the number table: the architecture has no such call
NOWHERE = b"/ringfence/no/such/path"
BAD_FD = -1
BAD_POINTER = 1
BAD_FLAGS = 0x7FFF_FFFF
NO_PID = 0x7FFF_FFF0
AT_FDCWD = -100
CHARACTER_DEVICE, FIFO = 0o020600, 0o010600
DEV_NULL = 0x103

# The two numbers are those of x86_64 and of aarch64.
NUMBERS = {
    "accept4": (288, 242),
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_settime": (227, 112),
    "clone": (56, 220),
    "clone3": (435, 435),
    "close_range": (436, 436),
    "delete_module": (176, 106),
    "epoll_pwait2": (441, 441),
    "execveat": (322, 281),
    "faccessat2": (439, 439),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "getrandom": (318, 278),
    "init_module": (175, 105),
    "io_setup": (206, 0),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "iopl": (172, ABSENT),
    "kcmp": (312, 272),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "landlock_create_ruleset": (444, 444),
    "membarrier": (324, 283),
    "memfd_create": (319, 279),
    "mknod": (133, ABSENT),
    "mknodat": (259, 33),
    "modify_ldt": (154, ABSENT),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "openat2": (437, 437),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "remap_file_pages": (216, 234),
    "request_key": (249, 218),
    "setgroups": (116, 159),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "statx": (332, 291),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vmsplice": (278, 75),
}

Arguments = tuple[int | bytes, ...]

# row: (call, arguments). The seed's table of dangerous calls comes first.
REFUSED: dict[str, tuple[str, Arguments]] = {
    "mount": ("mount", (b"none", NOWHERE, b"tmpfs", 0, 0)),
    "umount2": ("umount2", (NOWHERE, 0)),
    "pivot_root": ("pivot_root", (NOWHERE, NOWHERE)),
    "chroot": ("chroot", (NOWHERE,)),
    "reboot": ("reboot", (0, 0, 0, 0)),
    "kexec_load": ("kexec_load", (0, 1 << 20, BAD_POINTER, 0)),
    "ptrace": ("ptrace", (16, NO_PID, 0, 0)),
    "init_module": ("init_module", (BAD_POINTER, 0, BAD_POINTER)),
    "finit_module": ("finit_module", (BAD_FD, BAD_POINTER, 0)),
    "delete_module": ("delete_module", (b"ringfence_no_such_module", 0x800)),
    "personality": ("personality", (0x0040000,)),
    "keyctl": ("keyctl", (9999, 0, 0, 0, 0)),
    "request_key": ("request_key", (BAD_POINTER, BAD_POINTER, 0, 0)),
    "add_key": ("add_key", (BAD_POINTER, BAD_POINTER, 0, 0, 0)),
    "bpf": ("bpf", (9999, 0, 1 << 16)),
    "userfaultfd": ("userfaultfd", (BAD_FLAGS,)),
    "perf_event_open": ("perf_event_open", (BAD_POINTER, 0, -1, -1, BAD_FLAGS)),
    "setns": ("setns", (BAD_FD, 0)),
    "unshare": ("unshare", (0,)),
    "acct": ("acct", (NOWHERE,)),
    "settimeofday": ("settimeofday", (BAD_POINTER, 0)),
    "clock_settime": ("clock_settime", (9999, BAD_POINTER)),
    "swapon": ("swapon", (NOWHERE, BAD_FLAGS)),
    "swapoff": ("swapoff", (NOWHERE,)),
    "mknod_device": ("mknod", (NOWHERE, CHARACTER_DEVICE, DEV_NULL)),
    "mknodat_device": ("mknodat", (AT_FDCWD, NOWHERE, CHARACTER_DEVICE, DEV_NULL)),
    "socket_alg": ("socket", (38, 5, 0)),
    "socket_vsock": ("socket", (40, 1, 0)),
    "socket_packet": ("socket", (17, 3, 0)),
    "socket_raw": ("socket", (2, 3, 0)),
    "socket_raw6": ("socket", (10, 3, 0)),
    "socket_sctp": ("socket", (2, 1, 132)),
    "socket_netfilter": ("socket", (16, 3, 12)),
    "socketpair_tipc": ("socketpair", (30, 1, 0, BAD_POINTER)),
    "clone_newuser": ("clone", (0x1000_0000 | 0x200, 0, 0, 0, 0)),
    "clone3": ("clone3", (BAD_POINTER, 0)),
    "execveat_empty_path": ("execveat", (BAD_FD, b"", 0, 0, 0x1000)),
    "ioctl_tiocsti": ("ioctl", (BAD_FD, 0x5412, BAD_POINTER)),
    "ioctl_tiocsti_dirty": ("ioctl", (BAD_FD, 0x1_0000_5412, BAD_POINTER)),
    "ioctl_tioclinux": ("ioctl", (BAD_FD, 0x541C, BAD_POINTER)),
    "io_uring_setup": ("io_uring_setup", (0, BAD_POINTER)),
    "io_uring_enter": ("io_uring_enter", (BAD_FD, 0, 0, 0, 0, 0)),
    "io_uring_register": ("io_uring_register", (BAD_FD, 0, 0, 0)),
    "open_tree": ("open_tree", (BAD_FD, BAD_POINTER, BAD_FLAGS)),
    "move_mount": ("move_mount", (BAD_FD, BAD_POINTER, BAD_FD, BAD_POINTER, BAD_FLAGS)),
    "fsopen": ("fsopen", (BAD_POINTER, 0)),
    "fsconfig": ("fsconfig", (BAD_FD, 0, 0, 0, 0)),
    "fsmount": ("fsmount", (BAD_FD, 0, 0)),
    "fspick": ("fspick", (AT_FDCWD, NOWHERE, 0)),
    "mount_setattr": ("mount_setattr", (BAD_FD, BAD_POINTER, BAD_FLAGS, 0, 0)),
    "process_vm_readv": ("process_vm_readv", (NO_PID, 0, 0, 0, 0, 1)),
    "process_vm_writev": ("process_vm_writev", (NO_PID, 0, 0, 0, 0, 1)),
    "pidfd_getfd": ("pidfd_getfd", (BAD_FD, 0, 1)),
    "kcmp": ("kcmp", (NO_PID, NO_PID, 0, 0, 0)),
    "name_to_handle_at": ("name_to_handle_at", (BAD_FD, BAD_POINTER, 0, 0, BAD_FLAGS)),
    "open_by_handle_at": ("open_by_handle_at", (BAD_FD, BAD_POINTER, 0)),
    "vmsplice": ("vmsplice", (BAD_FD, 0, 0, BAD_FLAGS)),
    "io_setup": ("io_setup", (0, BAD_POINTER)),
    "modify_ldt": ("modify_ldt", (99, 0, 0)),
    "iopl": ("iopl", (99,)),
    "setgroups": ("setgroups", (BAD_FLAGS, 0)),
    "quotactl": ("quotactl", (0xFF, 0, 0, 0)),
    "remap_file_pages": ("remap_file_pages", (BAD_POINTER, 0, 1, 0, 0)),
}

# What programs need; each must answer 0 with and without a filter.
ALLOWED: dict[str, tuple[str, Arguments]] = {
    "personality_query": ("personality", (0xFFFF_FFFF,)),
    "socket_unix": ("socket", (1, 0x80001, 0)),
    "socket_tcp": ("socket", (2, 0x80001, 6)),
    "socket_tcp6": ("socket", (10, 0x80801, 0)),
    "socket_udp": ("socket", (2, 2, 17)),
    "socket_route": ("socket", (16, 0x80003, 0)),
    "getrandom": ("getrandom", (bytes(8), 8, 0)),
    "memfd_create": ("memfd_create", (b"ringfence", 1)),
    "pidfd_open": ("pidfd_open", (1, 0)),
    "close_range": ("close_range", (1000, 1001, 0)),
    "statx": ("statx", (AT_FDCWD, b"/", 0, 0x7FF, bytes(256))),
    "faccessat2": ("faccessat2", (AT_FDCWD, b"/", 0, 0)),
    "openat2": ("openat2", (AT_FDCWD, b"/", struct.pack("QQQ", 0o200000, 0, 0), 24)),
    "membarrier": ("membarrier", (0, 0, 0)),
}

# Allowed calls with wrong arguments: the kernel's own complaint shows that they got through.
PASSED: dict[str, tuple[str, Arguments]] = {
    "ioctl_tcgets": ("ioctl", (BAD_FD, 0x5401, BAD_POINTER)),
    "ioctl_beside_tiocsti": ("ioctl", (BAD_FD, 0x5413, BAD_POINTER)),
    "execveat_with_path": ("execveat", (BAD_FD, b"", 0, 0, 0)),
    "epoll_pwait2": ("epoll_pwait2", (BAD_FD, bytes(16), 1, 0, 0, 8)),
    "accept4": ("accept4", (BAD_FD, 0, 0, 0)),
    "mknodat_fifo": ("mknodat", (AT_FDCWD, NOWHERE, FIFO, 0)),
}

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


def number(call: str) -> int:
    """Return the number of a call on this machine, or ABSENT."""
    return NUMBERS[call][("x86_64", "aarch64").index(platform.machine())]


def _raw(call: int, arguments: Arguments) -> int:
    """Make one system call and return 0 or the errno."""
    converted = [
        ctypes.c_long(item) if isinstance(item, int) else ctypes.c_char_p(item)
        for item in arguments
    ]
    ctypes.set_errno(0)
    result = _LIBC.syscall(ctypes.c_long(call), *converted)
    return ctypes.get_errno() if result == -1 else 0


def _int80() -> int:
    """Call socketcall(99) through the 32-bit gate: EINVAL, unless a filter kills the caller."""
    code = b"\x53\xb8\x66\x00\x00\x00\xbb\x63\x00\x00\x00\xcd\x80\x5b\xc3"
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return -int(ctypes.CFUNCTYPE(ctypes.c_int)(address)())


def _in_child(call: int, arguments: Arguments) -> int:
    """Make the call in a child and return its answer, or minus the signal that ended it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        answer = _int80() if call == ABSENT else _raw(call, arguments)
        os.write(writer, struct.pack("i", answer))
        os._exit(0)
    os.close(writer)
    answer_bytes = os.read(reader, 4)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return -os.WTERMSIG(status)
    return int(struct.unpack("i", answer_bytes)[0])


def probe() -> dict[str, int]:
    """Return the kernel's answer to every row that exists on this architecture."""
    rows = {**REFUSED, **ALLOWED, **PASSED}
    found = {name: (number(call), arguments) for name, (call, arguments) in rows.items()}
    answers = {
        name: _in_child(call, arguments)
        for name, (call, arguments) in found.items()
        if call != ABSENT
    }
    if platform.machine() == "x86_64":
        answers["int80_socketcall"] = _in_child(ABSENT, ())
        answers["x32_getpid"] = _in_child(0x4000_0000 | 39, ())
    return answers


if __name__ == "__main__":
    sys.stdout.write(json.dumps(probe(), indent=1) + "\n")
