"""What every probe needs: system calls by number, children that may die, and what a filter says.

Runs inside the Sandbox. It reports what the kernel answered and judges nothing: judge.py does, on
the outside.
"""

import ctypes
import errno
import os
import platform
import shutil
import signal
import struct
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

Argument = int | bytes
Scene = dict[str, Any]
Result = dict[str, Any]

BAD_FD: Final = -1
NOBODY_HOME: Final = 0x7FFF_FFF0
"""A pid that no process has."""

# The two numbers are those of x86_64 and of aarch64.
_NUMBERS: Final = {
    "capset": (126, 91),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "init_module": (175, 105),
    "ioctl": (16, 29),
    "mknodat": (259, 33),
    "mount": (165, 40),
    "pidfd_getfd": (438, 438),
    "process_vm_readv": (310, 270),
    "ptrace": (101, 117),
    "setresgid": (119, 149),
    "setresuid": (117, 147),
    "setns": (308, 268),
    "socket": (41, 198),
    "unshare": (272, 97),
}
_MACHINES: Final = ("x86_64", "aarch64")

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_FILTER_MODE: Final = 2
_LOAD_NUMBER, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_TRACE, _ALLOW = 0x7FF0_0000, 0x7FFF_0000


class Attempt(NamedTuple):
    """One way that was tried.

    Attributes:
        what: For people.
        outcome: through, refused, silent (no answer came back) or untried (could not be tried).
        errno: The kernel's name for its refusal, or what else was heard.
        filter: What the seccomp filter alone answers; empty if it lets the call pass.
        known: Somebody is known to listen there, so that silence means a fence.
        detail: What helps to understand the outcome.
    """

    what: str
    outcome: str
    errno: str = ""
    filter: str = ""
    known: bool = False
    detail: str = ""


def result(attempts: Iterable[Attempt], **facts: float | str) -> Result:
    """What a probe returns."""
    return {"attempts": [attempt._asdict() for attempt in attempts], "facts": facts}


def name(number: int) -> str:
    """EPERM and its like."""
    return errno.errorcode.get(number, f"errno {number}")


def raw(call: str, *arguments: Argument) -> int:
    """Makes a system call; its result, or minus the errno."""
    converted = [
        ctypes.c_long(item) if isinstance(item, int) else ctypes.c_char_p(item)
        for item in arguments
    ]
    answer = int(_LIBC.syscall(ctypes.c_long(_number(call)), *converted))
    return -ctypes.get_errno() if answer == -1 else answer


def _number(call: str) -> int:
    return _NUMBERS[call][_MACHINES.index(platform.machine())]


class Ended(NamedTuple):
    """How a child ended: with an answer, or by a signal (then the answer is 0)."""

    answer: int
    signal: int

    @property
    def refusal(self) -> str:
        """Name of the signal or of the errno; empty after success."""
        if self.signal:
            return signal.Signals(self.signal).name
        return name(-self.answer) if self.answer < 0 else ""


def in_child(action: Callable[[], int]) -> Ended:
    """Runs `action` in a child, as a filter or the kernel may end whoever tries."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(writer, action)
    os.close(writer)
    heard = os.read(reader, 8)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Ended(0, os.WTERMSIG(status))
    return Ended(struct.unpack("q", heard)[0], 0)


def _answer(writer: int, action: Callable[[], int]) -> None:
    """The child's side; never returns, or the probe would run twice."""
    answer = -errno.EIO
    try:
        answer = action()
    except OSError as error:
        answer = -(error.errno or errno.EIO)
    finally:
        os.write(writer, struct.pack("q", answer))
        os._exit(0)


def die_with_parent() -> None:
    """Lets the kernel end this process as soon as its parent has ended."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def refusal(call: str, *arguments: Argument) -> str:
    """What the Sandbox's filter answers to a call that is not made; empty if it lets it pass.

    A filter of our own is stacked above it that hands this one call to a tracer that does not
    exist: the kernel then answers ENOSYS without making the call. Of two verdicts it takes the
    stricter one, and an errno is stricter than a tracer, so any other answer is the Sandbox's
    filter's. That tells a filter from a missing capability, which sound the same otherwise.
    """

    def ask() -> int:
        _trap(_number(call))
        return raw(call, *arguments)

    heard = in_child(ask).refusal
    return "" if heard == "ENOSYS" else heard


def _trap(number: int) -> None:
    steps = (
        (_LOAD_NUMBER, 0, 0, 0),
        (_JUMP_IF_EQUAL, 0, 1, number),
        (_RETURN, 0, 0, _TRACE),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code))
    _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if _LIBC.prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.c_char_p(program), 0, 0):
        os._exit(255)  # no answer: the reader fails, so that this never passes for a refusal


def call(what: str, syscall: str, *arguments: Argument, passed: tuple[int, ...] = ()) -> Attempt:
    """Makes a call, and asks the filter about it.

    Args:
        what: For people.
        syscall: Name of the call.
        *arguments: Numbers, or bytes whose address is passed.
        passed: Errors that the kernel gives only after it let the caller in.
    """
    return outcome(
        what, in_child(lambda: raw(syscall, *arguments)), refusal(syscall, *arguments), passed
    )


def outcome(what: str, ended: Ended, heard: str = "", passed: tuple[int, ...] = ()) -> Attempt:
    """The attempt that ended so."""
    through = not ended.refusal or (-ended.answer in passed and not ended.signal)
    return Attempt(what, "through" if through else "refused", ended.refusal, heard)


def attempt(what: str, action: Callable[[], object]) -> Attempt:
    """Runs `action` in this process: an OSError is a refusal, anything else went through."""
    try:
        detail = action()
    except OSError as error:
        return Attempt(what, "refused", name(error.errno or errno.EIO))
    return Attempt(what, "through", detail=detail if isinstance(detail, str) else "")


def me() -> Result:
    """Who the probe is, as the kernel says."""
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return {
        "uid": int(lines["Uid"].split()[1]),
        "seccomp": int(lines.get("Seccomp", "0")),
        "noNewPrivileges": int(lines.get("NoNewPrivs", "0")),
        "capabilities": lines["CapEff"].strip(),
        "bounding": lines["CapBnd"].strip(),
        "appArmor": _app_armor(),
        "appArmorInKernel": os.path.exists("/sys/module/apparmor"),
    }


def _app_armor() -> str:
    """Name and mode of the AppArmor profile; other security modules share the older file."""
    for path in ("/proc/self/attr/apparmor/current", "/proc/self/attr/current"):
        try:
            with open(path) as file:
                return file.read().strip("\0\n")[:256]
        except OSError:
            continue
    return ""


@contextmanager
def scratch(place: str = "") -> Iterator[str]:
    """A directory of our own in `place`, or where the Sandbox may write; gone afterwards.

    Raises:
        OSError: No place is writable.
    """
    places = [p for p in ("/work", "/tmp", "/dev/shm") if os.access(p, os.W_OK)]
    directory = tempfile.mkdtemp(prefix=".attack-", dir=place or (places[0] if places else "/"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def deadline(seconds: float) -> Callable[[], bool]:
    """A function that says whether the time is over."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end
