"""Makes of a probe the text of one program, for `python3 -` inside a Sandbox.

The probes' own source is sent along, so that nothing but Python need be there.
"""

import json
from functools import cache
from importlib import resources
from typing import Final

from ringfence.api import Json

_PROBES: Final = "ringfence.attack.probes"
_START: Final = """\
import json, sys, types
for name, text in {sources}.items():
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
from {package}.kit import me
from {package}.{module} import {function} as probe
found = probe(json.loads({scene!r}))
print(json.dumps(found | {{"me": me()}}))
"""


def program(probe: str, scene: Json) -> str:
    """The program that runs `module.function` of the probes and prints one line of JSON."""
    module, _, function = probe.partition(".")
    sources = {f"{_PROBES}.{name}": _source(name) for name in ("kit", module)}
    return _START.format(
        sources=sources,
        package=_PROBES,
        module=module,
        function=function,
        scene=json.dumps(scene),
    )


@cache
def _source(name: str) -> str:
    return resources.files(_PROBES).joinpath(f"{name}.py").read_text()
