"""The requirement this profile grew out of: its allow-list and its table of dangerous calls.

Data only. `DIFFERENCES` names every call the product treats otherwise than the allow-list asks,
with the reason; a test holds that there is no other.
"""

from __future__ import annotations

_ALLOWED = """
    read write open close stat fstat lstat poll lseek mmap mprotect munmap brk pread64 pwrite64
    readv writev access pipe select dup dup2 dup3 fcntl flock fsync fdatasync truncate ftruncate
    getdents getdents64 getcwd chdir fchdir rename mkdir rmdir creat link unlink symlink readlink
    chmod fchmod chown fchown lchown umask statfs fstatfs openat mkdirat mknodat fchownat unlinkat
    renameat renameat2 linkat symlinkat readlinkat fchmodat faccessat newfstatat statx
    execve execveat clone clone3 fork vfork wait4 waitid exit exit_group kill tgkill tkill getpid
    getppid gettid getpgid getpgrp setpgid setsid getuid geteuid getgid getegid setuid setgid
    setreuid setregid getgroups setgroups prctl arch_prctl set_tid_address set_robust_list
    get_robust_list
    socket connect accept accept4 sendto recvfrom sendmsg recvmsg bind listen getsockname
    getpeername setsockopt getsockopt shutdown epoll_create epoll_create1 epoll_ctl epoll_wait
    epoll_pwait epoll_pwait2 ppoll pselect6
    madvise mremap msync mincore shmget shmat shmctl shmdt memfd_create membarrier
    gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep timer_create timer_settime
    timer_gettime timer_getoverrun timer_delete timerfd_create timerfd_settime timerfd_gettime
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend
    sigaltstack signalfd signalfd4
    pipe2 eventfd eventfd2 inotify_init inotify_init1 inotify_add_watch inotify_rm_watch
    futex futex_waitv ioctl uname sysinfo getrlimit setrlimit prlimit64 getrandom rseq close_range
    copy_file_range splice tee sendfile
"""
ALLOWED = frozenset(_ALLOWED.split())

DIFFERENCES = {
    "clone3": "ENOSYS: its flags are behind a pointer, so CLONE_NEWUSER could not be refused; libc "
    "falls back to clone",
    "clone": "only without namespace flags, or refusing unshare would be pointless",
    "execveat": "not with AT_EMPTY_PATH, which runs a file that has no name on any disk",
    "ioctl": "not TIOCSTI and TIOCLINUX, which type into the terminal of whoever attaches",
    "mknodat": "the list allows it and the table blocks it: FIFOs, sockets and files, no devices",
    "socket": "Unix, TCP, UDP and route netlink; no AF_ALG, AF_VSOCK, AF_PACKET or raw sockets",
    "setgroups": "dropping a group can gain access where that group is denied; nothing needs it",
}

# The table of dangerous calls with arguments that ask for the dangerous thing.
BLOCKED = {
    "mount": (0, 0, 0, 0, 0),
    "umount2": (0, 0),
    "pivot_root": (0, 0),
    "chroot": (0,),
    "reboot": (0xFEE1DEAD, 0x28121969, 0x01234567, 0),
    "kexec_load": (0, 0, 0, 0),
    "ptrace": (16, 1, 0, 0),
    "init_module": (0, 0, 0),
    "finit_module": (0, 0, 0),
    "delete_module": (0, 0),
    "personality": (0x0040000,),
    "keyctl": (0, 0, 0, 0, 0),
    "request_key": (0, 0, 0, 0),
    "add_key": (0, 0, 0, 0, 0),
    "bpf": (5, 0, 0),
    "userfaultfd": (0,),
    "perf_event_open": (0, 0, 0, 0, 0),
    "setns": (3, 0),
    "unshare": (0x1000_0000,),
    "acct": (0,),
    "settimeofday": (0, 0),
    "clock_settime": (0, 0),
    "swapon": (0, 0),
    "swapoff": (0,),
    "mknod": (0, 0x2000 | 0o600, 0x103),
    "mknodat": (0xFFFF_FF9C, 0, 0x2000 | 0o600, 0x103),
}

# Keyrings answer as on a kernel without them, so that libkrb5 and friends fall back.
BLOCKED_AS_MISSING = frozenset({"add_key", "keyctl", "request_key"})
