"""The Python SDK: Sandboxes, commands and files in them, over pods/exec alone.

    from ringfence.sdk import Sandbox

    with Sandbox.create() as sandbox:
        print(sandbox.commands.run("python3 -c 'print(6 * 7)'").stdout)

`AsyncSandbox` is the same with `await`. Everything is told by the errors of ringfence.sdk.errors.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # at run time each comes with its first use: `ringfence exec` needs few of them
    from ringfence.sdk.aio import AsyncSandbox
    from ringfence.sdk.errors import (
        CommandError,
        CommandFailed,
        CommandResult,
        CommandTimedOut,
        FileError,
        InvalidArgument,
        NotFound,
        NotReady,
        ProcessesLeft,
        SandboxError,
        Stopped,
        Unavailable,
    )
    from ringfence.sdk.files import FileInfo
    from ringfence.sdk.sandbox import Sandbox

__all__ = [
    "AsyncSandbox",
    "CommandError",
    "CommandFailed",
    "CommandResult",
    "CommandTimedOut",
    "FileError",
    "FileInfo",
    "InvalidArgument",
    "NotFound",
    "NotReady",
    "ProcessesLeft",
    "Sandbox",
    "SandboxError",
    "Stopped",
    "Unavailable",
]

_HOMES: Final = {"AsyncSandbox": "aio", "Sandbox": "sandbox", "FileInfo": "files"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    module = importlib.import_module(f"{__name__}.{_HOMES.get(name, 'errors')}")
    return getattr(module, name)
