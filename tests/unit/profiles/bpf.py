"""What the kernel would decide: compile a profile with the real libseccomp and run its program.

The rules are added exactly as runc adds them (unknown names skipped, two conditions on one
argument split, binary tree, the ENOSYS stub for numbers beyond the largest one named), and the
resulting classic BPF is interpreted here. It must not take any decision of its own: that is the
point of not writing a second reading of the profile format.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

from ringfence.profiles.seccomp import Arch, profile

ALLOW = "ALLOW"
KILL = "KILL"

_AUDIT_ARCH = {Arch.X86_64: 0xC000_003E, Arch.AARCH64: 0xC000_00B7}
_AUDIT_ARCH_I386 = 0x4000_0003
_EPERM = 1  # what runc takes where the profile does not say
_ACT_ALLOW, _ACT_ERRNO, _ACT_KILL = 0x7FFF_0000, 0x0005_0000, 0
_OPERATORS = {"SCMP_CMP_EQ": 4, "SCMP_CMP_MASKED_EQ": 7}
_OPTIMIZE, _BINARY_TREE = 8, 2
_PSEUDO_BELOW = 0  # libseccomp numbers names an architecture lacks below zero
_X32_BIT = 1 << 30


class _Compare(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_arch_native.restype = ctypes.c_uint32
    pointer = ctypes.c_void_p
    library.seccomp_release.argtypes = [pointer]
    library.seccomp_arch_add.argtypes = [pointer, ctypes.c_uint32]
    library.seccomp_arch_remove.argtypes = [pointer, ctypes.c_uint32]
    library.seccomp_attr_set.argtypes = [pointer, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_export_bpf.argtypes = [pointer, ctypes.c_int]
    library.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        pointer,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Compare),
    ]
    return library


def number(name: str, arch: Arch = Arch.X86_64) -> int | None:
    """Return the number of a system call, None if libseccomp or the architecture lacks it."""
    found = int(_library().seccomp_syscall_resolve_name_arch(_AUDIT_ARCH[arch], name.encode()))
    return found if found >= _PSEUDO_BELOW else None


def _check(result: int, what: str) -> None:
    if result != 0:
        message = f"libseccomp: {what}: {os.strerror(-result)}"
        raise OSError(-result, message)


def _comparisons(rule: dict[str, Any]) -> list[_Compare]:
    return [
        _Compare(arg["index"], _OPERATORS[arg["op"]], arg["value"], arg.get("valueTwo", 0))
        for arg in rule.get("args", [])
    ]


def _add_rule(context: int, rule: dict[str, Any], name: str) -> None:
    library = _library()
    allow = rule["action"] == "SCMP_ACT_ALLOW"
    action = _ACT_ALLOW if allow else _ACT_ERRNO | rule["errnoRet"]
    call = library.seccomp_syscall_resolve_name(name.encode())
    if call == -1:
        return
    conditions = _comparisons(rule)
    indexes = [condition.arg for condition in conditions]
    alternatives = (
        [conditions] if len(set(indexes)) == len(indexes) else [[item] for item in conditions]
    )
    for chosen in alternatives:
        array = (_Compare * len(chosen))(*chosen)
        _check(
            library.seccomp_rule_add_array(context, action, call, len(chosen), array),
            f"rule of {name}",
        )


def _export(context: int) -> bytes:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as output:
        _grow_pipe(writer)
        try:
            _check(_library().seccomp_export_bpf(context, writer), "export")
        finally:
            os.close(writer)
        return output.read()


def _grow_pipe(descriptor: int) -> None:
    """Make room for the whole program: nothing reads before libseccomp has written it all."""
    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 1 << 20)


def _compile(document: dict[str, Any], arch: Arch) -> bytes:
    library = _library()
    context = library.seccomp_init(_ACT_ERRNO | document.get("defaultErrnoRet", _EPERM))
    try:
        native = library.seccomp_arch_native()
        wanted = {_AUDIT_ARCH[Arch[name[10:]]] for name in document["architectures"]}
        for added in wanted - {native}:
            _check(library.seccomp_arch_add(context, added), "add architecture")
        if native != _AUDIT_ARCH[arch] and native not in wanted:
            _check(library.seccomp_arch_remove(context, native), "remove native architecture")
        _check(library.seccomp_attr_set(context, _OPTIMIZE, _BINARY_TREE), "binary tree")
        for rule in document["syscalls"]:
            for name in rule["names"]:
                _add_rule(context, rule, name)
        return _export(context)
    finally:
        library.seccomp_release(context)


@dataclass(frozen=True)
class Filter:
    """A compiled profile that can be asked for decisions.

    Attributes:
        arch: The architecture it is for.
        program: The instructions as (code, jump if true, jump if false, constant).
        largest: The largest number any rule names: runc answers ENOSYS beyond it.
    """

    arch: Arch
    program: tuple[tuple[int, int, int, int], ...]
    largest: int

    def decide(self, call: str | int, *arguments: int) -> str | int:
        """Return ALLOW, KILL or the errno for one call."""
        found = number(call, self.arch) if isinstance(call, str) else call
        assert found is not None, f"{call} does not exist on {self.arch}"
        if found > self.largest and not found & _X32_BIT:
            return 38
        return self._verdict(found, _AUDIT_ARCH[self.arch], arguments)

    def decide_i386(self, call: int, *arguments: int) -> str | int:
        """Return the decision for a 32-bit call (`int 0x80`)."""
        return self._verdict(call, _AUDIT_ARCH_I386, arguments)

    def _verdict(self, call: int, audit_arch: int, arguments: tuple[int, ...]) -> str | int:
        padded = (*arguments, *(0,) * (6 - len(arguments)))
        data = struct.pack("<iIQ6Q", call, audit_arch, 0, *padded)
        result = _run(self.program, data)
        action, value = result & 0xFFFF_0000, result & 0xFFFF
        verdicts: dict[int, str | int] = {_ACT_ALLOW: ALLOW, _ACT_ERRNO: value, _ACT_KILL: KILL}
        return verdicts[action]


def _run(program: tuple[tuple[int, int, int, int], ...], data: bytes) -> int:
    """Interpret classic BPF as far as libseccomp uses it; anything else fails the test."""
    accumulator = position = 0
    while True:
        code, on_true, on_false, constant = program[position]
        position += 1
        if code == 0x06:  # ret
            return constant
        if code == 0x20:  # ld [constant]
            (accumulator,) = struct.unpack_from("<I", data, constant)
        elif code == 0x54:  # and
            accumulator &= constant
        elif code == 0x05:  # ja
            position += constant
        else:
            position += on_true if _jumps(code, accumulator, constant) else on_false


def _jumps(code: int, accumulator: int, constant: int) -> bool:
    if code == 0x15:
        return accumulator == constant
    if code == 0x25:
        return accumulator > constant
    if code == 0x35:
        return accumulator >= constant
    if code == 0x45:
        return bool(accumulator & constant)
    message = f"instruction {code:#x} is not one libseccomp emits"
    raise AssertionError(message)


def compiled(document: dict[str, Any], arch: Arch) -> Filter:
    """Compile any profile document."""
    raw = _compile(document, arch)
    names = {name for rule in document["syscalls"] for name in rule["names"]}
    largest = max(found for name in names if (found := number(name, arch)) is not None)
    return Filter(arch, tuple(struct.iter_unpack("<HBBI", raw)), largest)


@cache
def product_filter(arch: Arch) -> Filter:
    """Return the product's own profile, compiled once."""
    return compiled(profile(arch), arch)
