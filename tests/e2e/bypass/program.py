"""Makes of rows the text of one program, for `python3 -` inside a Pod.

The probes' own source is sent along, so that nothing but Python need be there. Pure but for reading
our own files.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bypass.model import Row

_MODULES: Final = {
    "ringfence.attack.probes": ("kit",),
    "bypass.probes": ("wire", "hello", "ways", "tunnels", "powers", "heirs", "runner", "siege"),
}
_START: Final = """\
import sys, types
for package in {packages}:
    sys.modules[package] = types.ModuleType(package)
    sys.modules[package].__path__ = []
for name, text in {sources}.items():
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
from bypass.probes import runner, siege
"""


def program(rows: Iterable[Row]) -> str:
    """The program that runs these rows and prints a line of JSON for each."""
    wanted = [{"name": row.name, "probe": row.probe, "args": row.args} for row in rows]
    return f"{prelude()}import json\nrunner.run(json.loads({json.dumps(wanted)!r}))\n"


@cache
def prelude() -> str:
    """What makes the probes importable in a Python that has nothing of ours."""
    sources = {
        f"{package}.{name}": resources.files(package).joinpath(f"{name}.py").read_text()
        for package, names in _MODULES.items()
        for name in names
    }
    packages = [
        "ringfence",
        "ringfence.attack",
        "ringfence.attack.probes",
        "bypass",
        "bypass.probes",
    ]
    return _START.format(packages=packages, sources=sources)
