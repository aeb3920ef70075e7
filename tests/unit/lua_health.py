"""Runs an Argo CD health check as Argo CD does: LuaJIT with base and table functions alone.

Argo CD's own tests open all libraries, so a script that uses `string` passes them and fails in
argocd-cm; here it fails.
"""

from pathlib import Path
from typing import Any, Final, NamedTuple

from lupa import luajit21  # type: ignore[import-untyped]

Json = dict[str, Any]

CUSTOMIZATIONS: Final = (
    Path(__file__).resolve().parents[2] / "manifests/argocd/resource_customizations/ringfence.dev"
)
_REMOVED: Final = (
    *("string", "math", "io", "os", "debug", "coroutine", "bit", "jit", "ffi"),
    *("dofile", "loadfile", "python"),
)
_SETUP: Final = """
getmetatable("").__index = nil
for _, name in ipairs({...}) do _G[name] = nil end
"""


LuaError = luajit21.LuaError


class Health(NamedTuple):
    """The verdict on one object."""

    status: str
    message: str


def health(kind: str, obj: Json) -> Health:
    """What the shipped check of a kind says about an object."""
    return run((CUSTOMIZATIONS / kind / "health.lua").read_text(), obj)


def run(script: str, obj: Json) -> Health:
    """What a script says about an object."""
    lua = luajit21.LuaRuntime(unpack_returned_tuples=True)
    lua.execute(_SETUP, *_REMOVED)
    lua.globals().obj = _to_lua(lua, obj)
    verdict = lua.execute(script)
    return Health(verdict.status, verdict.message or "")


def _to_lua(lua: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return lua.table_from({k: _to_lua(lua, v) for k, v in value.items()})
    if isinstance(value, list):
        return lua.table_from([_to_lua(lua, item) for item in value])
    return value
