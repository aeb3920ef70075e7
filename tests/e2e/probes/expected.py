"""What the probe `syscalls` must hear under the product's profile, shared by all tests that run it.

Data and one comparison; nothing here may start anything.
"""

from __future__ import annotations

import errno
import signal

from probes.syscalls import ALLOWED, PASSED, REFUSED

KILLED = -int(signal.SIGSYS)

MISSING = frozenset(
    """
    add_key clone3 fsconfig fsmount fsopen fspick io_uring_enter io_uring_register io_uring_setup
    keyctl mount_setattr move_mount open_tree request_key
    """.split()  # noqa: SIM905 - fourteen names read better than fourteen literals
)
OTHER_TABLES = frozenset({"int80_socketcall", "x32_getpid"})

# Without capabilities the kernel itself says EPERM here before it looks at any argument. These
# rows show nothing in a Pod; the run with all capabilities shows them.
NEEDS_ROOT_TO_TELL = frozenset(
    """
    acct delete_module finit_module init_module kexec_load open_by_handle_at pivot_root reboot
    setgroups socket_packet swapoff
    """.split()  # noqa: SIM905 - as above
)


def expected(row: str) -> int:
    """Return the answer a refused row must get under the profile."""
    if row in OTHER_TABLES:
        return KILLED
    return errno.ENOSYS if row in MISSING else errno.EPERM


def wrong_under_profile(answers: dict[str, int]) -> dict[str, str]:
    """Return every row that is not as promised, with what was heard."""
    found: dict[str, str] = {}
    for row, answer in answers.items():
        promised = row in REFUSED or row in OTHER_TABLES
        if promised and answer != expected(row):
            found[row] = f"{answer}, promised {expected(row)}"
        if row in ALLOWED and answer != 0:
            found[row] = f"{answer}, promised success"
        if row in PASSED and answer in (0, errno.EPERM, errno.ENOSYS, KILLED):
            found[row] = f"{answer}, promised the kernel's own complaint"
    return found


def indistinguishable(filtered: dict[str, int], free: dict[str, int]) -> set[str]:
    """Return the refused rows that sound the same without the profile: they prove nothing."""
    rows = (set(REFUSED) | OTHER_TABLES) & set(filtered)
    return {row for row in rows if filtered[row] == free[row]}
