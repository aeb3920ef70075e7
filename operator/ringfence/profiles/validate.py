"""A strict check of seccomp profiles, for ours and for those an administrator brings along.

Pure. The container runtime ignores keys it does not know and rewrites rules it cannot express, so
a profile can look strict and load as a lax one. Here every such profile is an error that names the
place. It must not repair anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeGuard

_ALLOW: Final = "SCMP_ACT_ALLOW"
_ERRNO: Final = "SCMP_ACT_ERRNO"
_MAX_ERRNO: Final = 4095
_MAX_ARGUMENT: Final = 5
_MAX_VALUE: Final = 0xFFFF_FFFF_FFFF_FFFF

_PROFILE_KEYS: Final = frozenset(
    {"defaultAction", "defaultErrnoRet", "architectures", "flags", "syscalls"}
)
_RULE_KEYS: Final = frozenset({"names", "action", "errnoRet", "args"})
_ARGUMENT_KEYS: Final = frozenset({"index", "value", "valueTwo", "op"})
_CONDITIONAL_KEYS: Final = frozenset({"archMap", "includes", "excludes", "minKernel"})
_DOCKER_KEYS: Final = _CONDITIONAL_KEYS | {"comment", "name"}
_ARCHITECTURES: Final = frozenset({"SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"})
_FLAGS: Final = frozenset({"SECCOMP_FILTER_FLAG_LOG"})
_OPERATORS: Final = frozenset({"SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"})


class InvalidProfile(ValueError):  # noqa: N818 - reads as what it is in a traceback
    """The profile would not load as it reads; the message lists every place."""


def validate(profile: Mapping[str, Any]) -> None:
    """Check that the profile means to the runtime what it says.

    Raises:
        InvalidProfile: With every problem found, one per line.
    """
    problems = [*_top(profile), *_rules(profile.get("syscalls"))]
    if problems:
        raise InvalidProfile("\n".join(problems))


def docker_keys(node: Any) -> list[str]:
    """Return the keys of Docker's format anywhere in a document, which runtimes skip silently.

    `comment` and `name` are Docker's as well, but take nothing away from a profile.
    """
    if isinstance(node, list):
        return sorted({key for item in node for key in docker_keys(item)})
    if not isinstance(node, Mapping):
        return []
    below = {key for value in node.values() for key in docker_keys(value)}
    return sorted(below | (node.keys() & _CONDITIONAL_KEYS))


def _top(profile: Mapping[str, Any]) -> Iterator[str]:
    yield from _keys("profile", profile, _PROFILE_KEYS)
    if profile.get("defaultAction") != _ERRNO:
        yield (
            f"defaultAction: {profile.get('defaultAction')!r}, use {_ERRNO}: only a list of "
            "allowed calls refuses what is added to the kernel later"
        )
    yield from _errno("defaultErrnoRet", profile.get("defaultErrnoRet"))
    architectures = profile.get("architectures")
    if not _strings(architectures) or len(architectures) != 1:
        yield "architectures: name exactly one; a second one opens its other system call table"
    else:
        yield from _known("architectures", architectures, _ARCHITECTURES)
    flags = profile.get("flags")
    if not _strings(flags):
        yield "flags: missing; without an explicit list runc turns off the SSB mitigation"
    else:
        yield from _known("flags", flags, _FLAGS)


def _rules(rules: Any) -> Iterator[str]:
    if not isinstance(rules, list) or not rules:
        yield "syscalls: must be a non-empty list of rules"
        return
    for number, rule in enumerate(rules):
        yield from _rule(f"syscalls[{number}]", rule)
    if all(_well_formed(rule) for rule in rules):
        yield from _collisions(rules)


def _rule(place: str, rule: Any) -> Iterator[str]:
    if not isinstance(rule, Mapping):
        yield f"{place}: must be an object"
        return
    yield from _keys(place, rule, _RULE_KEYS)
    if not _strings(rule.get("names")):
        yield f"{place}.names: must be a non-empty list of names"
    yield from _action(place, rule)
    if "args" in rule:
        yield from _arguments(place, rule["args"])


def _action(place: str, rule: Mapping[str, Any]) -> Iterator[str]:
    action = rule.get("action")
    if action not in (_ALLOW, _ERRNO):
        yield f"{place}.action: unknown action {action!r}, use {_ALLOW} or {_ERRNO}"
    if action == _ERRNO:
        yield from _errno(f"{place}.errnoRet", rule.get("errnoRet"))
    elif "errnoRet" in rule:
        yield f"{place}.errnoRet: has no meaning with {action!r}"


def _arguments(place: str, arguments: Any) -> Iterator[str]:
    if not isinstance(arguments, list) or not arguments:
        yield f"{place}.args: must be a non-empty list, or be left out"
        return
    for number, argument in enumerate(arguments):
        yield from _argument(f"{place}.args[{number}]", argument)
    indexes = [argument.get("index") for argument in arguments if isinstance(argument, Mapping)]
    if len(set(indexes)) != len(indexes):
        yield f"{place}.args: two conditions on one argument, which runc loads as OR"


def _argument(place: str, argument: Any) -> Iterator[str]:
    if not isinstance(argument, Mapping):
        yield f"{place}: must be an object"
        return
    yield from _keys(place, argument, _ARGUMENT_KEYS)
    yield from _known(f"{place}.op", [argument.get("op")], _OPERATORS)
    if not _number(argument.get("index"), _MAX_ARGUMENT):
        yield f"{place}.index: must be 0 to {_MAX_ARGUMENT}"
    masked = argument.get("op") == "SCMP_CMP_MASKED_EQ"
    if masked != ("valueTwo" in argument):
        yield f"{place}.valueTwo: belongs to SCMP_CMP_MASKED_EQ and only to it"
    for key in ("value", "valueTwo") if masked else ("value",):
        if not _number(argument.get(key), _MAX_VALUE):
            yield f"{place}.{key}: must be an unsigned 64-bit number"


def _collisions(rules: list[dict[str, Any]]) -> Iterator[str]:
    open_names = {name for rule in rules if _allows_all(rule) for name in rule["names"]}
    seen: set[str] = set()
    for number, rule in enumerate(rules):
        for name in rule["names"]:
            if name in open_names and not _allows_all(rule):
                yield (
                    f"syscalls[{number}]: {name} is allowed without condition elsewhere, so this "
                    "rule can never decide"
                )
            if "args" not in rule and name in seen:
                yield f"syscalls[{number}]: {name} has a second rule without condition"
            if "args" not in rule:
                seen.add(name)


def _allows_all(rule: Mapping[str, Any]) -> bool:
    return rule["action"] == _ALLOW and "args" not in rule


def _well_formed(rule: Any) -> bool:
    return isinstance(rule, Mapping) and _strings(rule.get("names")) and "action" in rule


def _keys(place: str, found: Mapping[str, Any], known: frozenset[str]) -> Iterator[str]:
    for key in sorted(set(found) - known):
        hint = " (Docker's format, silently ignored by runtimes)" if key in _DOCKER_KEYS else ""
        yield f"{place}.{key}: unknown key{hint}; remove it"


def _known(place: str, found: Iterable[Any], known: frozenset[str]) -> Iterator[str]:
    for value in found:
        if value not in known:
            yield f"{place}: unknown {value!r}, use one of {', '.join(sorted(known))}"


def _errno(place: str, value: Any) -> Iterator[str]:
    if not _number(value, _MAX_ERRNO) or value == 0:
        yield f"{place}: must be an errno from 1 to {_MAX_ERRNO}; 0 would report success"


def _number(value: Any, largest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= largest


def _strings(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)
