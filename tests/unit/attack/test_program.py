"""A probe is one text that needs nothing but Python, and it tells a filter from everything else."""

import errno
import json
import subprocess
import sys
from typing import Any

import pytest

from ringfence.attack.model import Observed, parse
from ringfence.attack.probes import kit
from ringfence.attack.program import program
from ringfence.attack.rows import ROWS

SCENE = {"pids": 256, "own": False, "marker": ""}
FILTER = """
import ctypes, os, struct
libc = ctypes.CDLL(None)
steps = ((0x20, 0, 0, 0), (0x15, 0, 1, {number}), (0x06, 0, 0, 0x50000 | {errno}),
         (0x06, 0, 0, 0x7FFF0000))
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *s) for s in steps))
libc.prctl(38, 1, 0, 0, 0)
loaded = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code))
assert libc.prctl(22, 2, ctypes.c_char_p(loaded), 0, 0) == 0
"""
"""A program that from then on refuses one system call, as a Sandbox's profile does."""


def run(text: str, *, before: str = "") -> Observed:
    """What a probe reports from a bare Python, isolated as inside a Sandbox."""
    command = [sys.executable, "-I", "-S", "-"]
    done = subprocess.run(command, input=before + text, capture_output=True, text=True, check=True)
    seen = parse(done.stdout.strip())
    assert isinstance(seen, Observed), seen
    return seen


def refusing(call: str, number: int = errno.EPERM) -> str:
    return FILTER.format(number=kit._number(call), errno=number)


@pytest.mark.parametrize("probe", [row.probe for row in ROWS])
def test_every_probe_is_a_program_of_its_own(probe: str) -> None:
    imported = "\nraise SystemExit\nfound ="
    text = program(probe, SCENE).replace("\nfound =", imported)
    subprocess.run([sys.executable, "-I", "-S", "-"], input=text, text=True, check=True)


def test_scene_cannot_become_code() -> None:
    hostile: Any = {"marker": '\'); raise SystemExit(7); (\'\\"""\n'}
    seen = run(program("kernel.crypto_socket", hostile))
    assert [a.what for a in seen.attempts] == ["socket(AF_ALG)"]


@pytest.mark.parametrize(
    ("probe", "call"),
    [
        ("kernel.crypto_socket", "socket"),
        ("kernel.terminal_input", "ioctl"),
        ("kernel.load_module", "init_module"),
        ("kernel.device_node", "mknodat"),
        ("kernel.trace", "ptrace"),
        ("kernel.user_namespace", "unshare"),
    ],
)
def test_a_filter_is_heard_and_its_absence_as_well(probe: str, call: str) -> None:
    text = program(probe, SCENE)
    free, filtered = run(text), run(text, before=refusing(call))
    asked = [a for a in filtered.attempts if a.filter == "EPERM"]
    assert asked
    assert {a.outcome for a in asked} == {"refused"}
    of_clone3 = {"clone3(CLONE_NEWUSER)"}  # asked in another way, see the next test
    assert {a.what for a in free.attempts if a.filter} <= of_clone3


def test_missing_clone3_is_a_filters_word() -> None:
    seen = run(program("kernel.user_namespace", SCENE), before=refusing("clone3", errno.ENOSYS))
    (clone3,) = (a for a in seen.attempts if a.what.startswith("clone3"))
    assert (clone3.outcome, clone3.filter) == ("refused", "ENOSYS")


def test_asking_the_filter_does_not_make_the_call() -> None:
    asked = "print(kit.refusal('unshare', 0x10000000), open('/proc/self/uid_map').read() == before)"
    text = f"""
import sys; sys.path.insert(0, {str(kit.__file__).split("/ringfence/")[0]!r})
from ringfence.attack.probes import kit
before = open('/proc/self/uid_map').read()
{asked}
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-"], input=text, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True"]


def test_probe_says_who_it_is() -> None:
    seen = run(program("kernel.crypto_socket", SCENE), before=refusing("ptrace"))
    assert (seen.me.seccomp, seen.me.no_new_privileges) == (2, 1)


def test_a_child_that_dies_is_reported_by_its_signal() -> None:
    ended = kit.in_child(lambda: kit.os.kill(kit.os.getpid(), 9) or 0)  # type: ignore[func-returns-value]
    assert (ended.refusal, ended.answer) == ("SIGKILL", 0)


def test_reports_hold_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-agent")
    for probe in ("processes.other_environ", "files.token"):
        assert "of-the-agent" not in json.dumps(run(program(probe, SCENE)).model_dump())
