"""Reads the common forms of `exec` without typer. Pure.

What it does not know for certain it leaves to typer, which owns the options, the help and the
messages; a test holds the two together.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ringfence.cli.execute import Wanted

_FLAGS: Final = {
    "-i": ("stdin",),
    "--stdin": ("stdin",),
    "-t": ("tty",),
    "--tty": ("tty",),
    "-it": ("stdin", "tty"),
    "-ti": ("stdin", "tty"),
}
_VALUES: Final = {
    "-n": "namespace",
    "--namespace": "namespace",
    "--context": "context",
    "--kubeconfig": "kubeconfig",
    "--cwd": "cwd",
}


def parse(words: Sequence[str]) -> Wanted | None:
    """`exec NAME [OPTIONS] -- COMMAND`, or None for everything else."""
    if "--" not in words:
        return None
    border = words.index("--")
    command = tuple(words[border + 1 :])
    fields = _fields(iter(words[:border]))
    if not command or fields is None or "name" not in fields:
        return None
    return Wanted(command=command, **fields)


def _fields(words: Iterator[str]) -> dict[str, Any] | None:
    fields: dict[str, Any] = {}
    for word in words:
        option, equals, value = word.partition("=")
        if word in _FLAGS:
            fields |= dict.fromkeys(_FLAGS[word], True)
        elif option in _VALUES and (equals == "") == (word in _VALUES):
            given = value if equals else next(words, None)
            if given is None or (equals and not option.startswith("--")):
                return None
            fields[_VALUES[option]] = given
        elif word.startswith("-") or "name" in fields:
            return None
        else:
            fields["name"] = word
    return fields
