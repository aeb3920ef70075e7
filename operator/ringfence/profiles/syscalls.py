"""The one table of system calls: which are allowed, under which arguments, and which are missing.

Everything that is not named here is refused with EPERM. The table is data: it must not know how a
profile is rendered, loaded or installed. Names that an architecture lacks (`open` on aarch64) stay
in the table, because the container runtime resolves names per architecture and skips the others.

Rules about arguments are only ever written as *allow* rules. A refusing rule beside an allowing
one never fires in libseccomp, and "not equal" compares 64 bits where the kernel reads 32, so a
caller could slip past it through the upper half.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ringfence.profiles.arguments import ARGUMENT_RULES, ArgumentRule

__all__ = ["ALLOWED", "ARGUMENT_RULES", "MISSING", "REFUSED", "ArgumentRule", "Group"]


class Group(NamedTuple):
    """System calls that share one reason.

    Attributes:
        why: The reason they share, for the reader and for docs/profiles.md.
        names: The kernel's names, unique over the whole table.
    """

    why: str
    names: tuple[str, ...]


def _group(why: str, names: str) -> Group:
    return Group(why, tuple(names.split()))


ALLOWED: Final = (
    _group(
        "files: open, read, write, move and describe what the file permissions already allow",
        """
        access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat
        faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl
        fdatasync flock fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 lchown
        link linkat lseek lstat mkdir mkdirat newfstatat open openat openat2 pread64 preadv preadv2
        pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv rename renameat renameat2
        rmdir sendfile splice stat statfs statx symlink symlinkat sync sync_file_range syncfs tee
        truncate umask unlink unlinkat utime utimensat utimes write writev cachestat
        """,
    ),
    _group(
        "extended attributes: tar, cp -a and git read and write the user.* ones",
        """
        fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr
        listxattrat llistxattr lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat
        """,
    ),
    _group(
        "memory: the allocators of libc, Python, V8 and Go; memfd for shared buffers of libraries",
        """
        brk madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall mmap
        mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
        """,
    ),
    _group(
        "processes: start, end and wait for own children (clone and execveat have argument rules)",
        """
        execve exit exit_group fork getpgid getpgrp getpid getppid getsid gettid kill
        pidfd_open pidfd_send_signal setpgid setsid set_robust_list get_robust_list set_tid_address
        tgkill tkill vfork wait4 waitid restart_syscall rseq arch_prctl prctl
        """,
    ),
    _group(
        "identity: without capabilities these can only stay equal or lose rights",
        """
        capget capset getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid setfsuid
        setgid setregid setresgid setresuid setreuid setuid
        """,
    ),
    _group(
        "self-restriction: these only ever tighten, and nested sandboxes are built from them",
        "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
    ),
    _group(
        "scheduling and limits of own processes; the cgroup caps them all the same",
        """
        getcpu getpriority getrlimit getrusage ioprio_get ioprio_set prlimit64
        sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
        sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr
        sched_setparam sched_setscheduler sched_yield setpriority setrlimit sysinfo times uname
        """,
    ),
    _group(
        "sockets: the network fence decides what may be reached, the socket rule of which kind",
        """
        accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg
        recvmsg sendmmsg sendmsg sendto setsockopt shutdown
        """,
    ),
    _group(
        "waiting for events: asyncio, libuv (epoll_pwait2 too) and inotify based file watchers",
        """
        epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2
        inotify_add_watch inotify_init inotify_init1 inotify_rm_watch pipe pipe2 poll ppoll pselect6
        select signalfd signalfd4 timerfd_create timerfd_gettime timerfd_settime
        """,
    ),
    _group(
        "signals of own processes",
        """
        pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
        rt_sigtimedwait rt_tgsigqueueinfo sigaltstack
        """,
    ),
    _group(
        "clocks and timers, reading only: no call that sets the time is here",
        """
        alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer
        time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
        """,
    ),
    _group(
        "locks and messages between own processes (the IPC namespace is the Pod's own)",
        """
        futex futex_requeue futex_wait futex_waitv futex_wake mq_getsetattr mq_notify mq_open
        mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop
        semtimedop shmat shmctl shmdt shmget
        """,
    ),
    _group("randomness", "getrandom"),
    _group(
        "written by the kernel into a traced program: refusing them kills a program under a "
        "node-wide uprobe, and a program cannot gain anything by calling them",
        "uprobe uretprobe",
    ),
)

# These answer ENOSYS: libc, libuv and language runtimes probe for them and fall back to an older
# call only on "not implemented". Every one is a refusal all the same.
MISSING: Final = (
    _group(
        "clone3 passes its flags by pointer, which a filter cannot read; libc falls back to clone",
        "clone3",
    ),
    _group(
        "io_uring runs other system calls past this filter; libuv falls back to epoll",
        "io_uring_enter io_uring_register io_uring_setup",
    ),
    _group(
        "the newer mount interface; the older one is refused with EPERM",
        """
        fsconfig fsmount fsopen fspick listmount mount_setattr move_mount open_tree open_tree_attr
        statmount
        """,
    ),
    _group(
        "kernel keyrings are not separated by namespaces; as if built without CONFIG_KEYS",
        "add_key keyctl request_key",
    ),
    _group(
        "calls of Linux 5.1 and later that nothing here needs; a still newer one that the "
        "runtime cannot name is answered alike by runc",
        """
        file_getattr file_setattr listns lsm_get_self_attr lsm_list_modules lsm_set_self_attr
        quotactl_fd set_mempolicy_home_node
        """,
    ),
)

# Never rendered: EPERM is the default. The list exists so that a test can hold each name, and so
# that whoever wants to allow one of them first has to remove it here and read why.
REFUSED: Final = (
    _group(
        "changes what files and roots mean: escape by mount, chroot or a file handle",
        "chroot mount name_to_handle_at open_by_handle_at pivot_root umount2",
    ),
    _group("enters or makes namespaces", "setns unshare"),
    _group(
        "reads, writes or steers other processes; each has a history of privilege escalation",
        """
        kcmp pidfd_getfd process_madvise process_mrelease process_vm_readv process_vm_writev ptrace
        """,
    ),
    _group(
        "loads or replaces kernel code",
        "bpf delete_module finit_module init_module kexec_file_load kexec_load",
    ),
    _group(
        "stops or steers the machine: power, swap, accounting, quota, kernel log, names",
        "acct quotactl reboot setdomainname sethostname swapoff swapon syslog vhangup",
    ),
    _group("sets the clock", "adjtimex clock_adjtime clock_settime settimeofday"),
    _group("touches hardware or the descriptor table", "ioperm iopl modify_ldt"),
    _group(
        "rarely used kernel code with a record of holes: legacy AIO, page-fault handling, "
        "performance counters, page moving, page gifting (the splice + AF_ALG class of bugs)",
        """
        get_mempolicy io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit
        lookup_dcookie mbind memfd_secret migrate_pages move_pages perf_event_open remap_file_pages
        set_mempolicy userfaultfd vmsplice
        """,
    ),
    _group("watches files of the whole node", "fanotify_init fanotify_mark"),
    _group(
        "drops supplementary groups, which can *gain* access where a group is denied",
        "setgroups",
    ),
    _group(
        "obsolete or without effect on these architectures",
        """
        _sysctl create_module get_kernel_syms get_thread_area nfsservctl query_module
        set_thread_area sysfs uselib ustat
        """,
    ),
)
