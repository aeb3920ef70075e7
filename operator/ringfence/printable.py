"""Text of strangers, for terminals and logs. Pure."""

import re
from typing import Final

_LONGEST: Final = 400
_KEPT: Final = re.compile(r"(\x1b\[[0-9;]{0,32}m)")
"""Colours: the one sequence that changes nothing but the looks of what follows."""


def printable(text: str, longest: int = _LONGEST) -> str:
    """`text` as one line that cannot steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in text[:longest])


def harmless(text: str) -> str:
    """`text` with its lines, tabs and colours, and nothing else that steers a terminal."""
    return "".join(
        part if index % 2 else "".join(c if c.isprintable() or c in "\n\t" else " " for c in part)
        for index, part in enumerate(_KEPT.split(text))
    )
