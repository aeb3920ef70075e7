"""The same SDK with `await`: each call in a thread of its own, and ended when it is cancelled. I/O.

There is one implementation, so the two cannot differ. A cancelled call is told to stop, and the
cancellation goes on only when nothing of its command is left.
"""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from types import TracebackType
from typing import Any, BinaryIO, Final, Literal, Self, TypeVar, Unpack, overload

from ringfence.client.wakeup import Wakeup
from ringfence.sdk import lifecycle, sandbox
from ringfence.sdk.commands import Commands, RunOptions
from ringfence.sdk.copying import Copied
from ringfence.sdk.errors import CommandResult
from ringfence.sdk.files import LONGEST, FileInfo, Files
from ringfence.sdk.keeping import OnText
from ringfence.sdk.place import Place
from ringfence.sdk.sandbox import ConnectOptions, CreateOptions
from ringfence.sdk.spec import new_name
from ringfence.sdk.unpack import Limits

Json = dict[str, Any]
_T = TypeVar("_T")

_AT_ONCE: Final = 256
_THREADS: Final = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ringfence")


async def in_thread(place: Place, work: Callable[[Place], _T]) -> _T:
    """Does blocking work in a thread; a cancellation stops it and waits for that."""
    with Wakeup() as wakeup:
        future = asyncio.get_running_loop().run_in_executor(
            _THREADS, work, place._replace(wakeup=wakeup)
        )
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            wakeup.stop()
            await _done(future)
            raise


async def _done(future: "asyncio.Future[Any]") -> None:
    """Waits, however often somebody cancels; what came of it nobody wants any more."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue
    if not future.cancelled():
        future.exception()


def on_loop(callback: OnText) -> OnText:
    """`callback` called in the loop's thread; whoever calls it waits until it has returned.

    Without the wait a hostile program would fill the memory with calls that nobody has made yet.
    """
    loop = asyncio.get_running_loop()

    async def call(text: str) -> None:
        answer = callback(text)
        if inspect.isawaitable(answer):
            await answer

    return lambda text: asyncio.run_coroutine_threadsafe(call(text), loop).result()


class AsyncCommands:
    """Runs commands in one Sandbox; see Commands."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def run(
        self, command: str | Sequence[str], **options: Unpack[RunOptions]
    ) -> CommandResult:
        """Runs a command to its end. `on_stdout` and `on_stderr` may be coroutine functions."""
        if "on_stdout" in options:
            options["on_stdout"] = on_loop(options["on_stdout"])
        if "on_stderr" in options:
            options["on_stderr"] = on_loop(options["on_stderr"])
        return await in_thread(self._place, lambda p: Commands(p).run(command, **options))


class AsyncFiles:
    """Files of one Sandbox; see Files."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @overload
    async def read(self, path: str, format: Literal["text"] = ..., limit: int = ...) -> str: ...
    @overload
    async def read(self, path: str, format: Literal["bytes"], limit: int = ...) -> bytes: ...
    async def read(
        self,
        path: str,
        format: Literal["text", "bytes"] = "text",  # noqa: A002 - as users know it
        limit: int = LONGEST,
    ) -> str | bytes:
        """What a file holds."""
        if format == "text":
            return await in_thread(self._place, lambda p: Files(p).read(path, "text", limit))
        return await in_thread(self._place, lambda p: Files(p).read(path, "bytes", limit))

    async def write(self, path: str, data: str | bytes | BinaryIO) -> None:
        """Writes a file, whole or not at all."""
        await in_thread(self._place, lambda p: Files(p).write(path, data))

    async def list(self, path: str = ".") -> "list[FileInfo]":
        """What is in a directory, by name."""
        return await in_thread(self._place, lambda p: Files(p).list(path))

    async def exists(self, path: str) -> bool:
        """Whether there is something of that name."""
        return await in_thread(self._place, lambda p: Files(p).exists(path))

    async def make_dir(self, path: str) -> None:
        """Makes a directory and those above it."""
        await in_thread(self._place, lambda p: Files(p).make_dir(path))

    async def remove(self, path: str) -> None:
        """Removes a file, or a directory with all that is in it."""
        await in_thread(self._place, lambda p: Files(p).remove(path))

    async def rename(self, path: str, new: str) -> None:
        """Gives a file or directory another name."""
        await in_thread(self._place, lambda p: Files(p).rename(path, new))

    async def upload(self, local: str | PathLike[str], path: str) -> Copied:
        """Copies a local file or directory into the Sandbox."""
        return await in_thread(self._place, lambda p: Files(p).upload(local, path))

    async def download(
        self, path: str, local: str | PathLike[str], limits: Limits | None = None
    ) -> Copied:
        """Copies a file or directory out of the Sandbox."""
        return await in_thread(self._place, lambda p: Files(p).download(path, local, limits))


class AsyncSandbox:
    """One Sandbox; see Sandbox."""

    def __init__(self, place: Place, *, owned: bool) -> None:
        self._place = place
        self._owned = owned
        self.namespace = place.namespace
        self.name = place.name
        self.commands = AsyncCommands(place)
        self.files = AsyncFiles(place)

    @classmethod
    async def create(cls, name: str | None = None, **options: Unpack[CreateOptions]) -> Self:
        """Creates a Sandbox and waits until it is Ready."""
        if "on_progress" in options:
            options["on_progress"] = on_loop(options["on_progress"])
        place = await asyncio.to_thread(sandbox.place_of, name or new_name(), options)
        await in_thread(place, lambda p: sandbox.create(p, options))
        return cls(place, owned=not options.get("keep", False))

    @classmethod
    async def connect(cls, name: str, **options: Unpack[ConnectOptions]) -> Self:
        """A Sandbox that exists."""
        place = await asyncio.to_thread(sandbox.place_of, name, options)
        await in_thread(place, sandbox.status)
        return cls(place, owned=False)

    async def status(self) -> Json:
        """What the operator says about it."""
        return await in_thread(self._place, sandbox.status)

    async def kill(self, *, wait: bool = True) -> bool:
        """Deletes it with all that is in it; whether it was there."""
        return await in_thread(self._place, lambda p: lifecycle.remove(p, wait=wait))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._owned:
            await self.kill(wait=False)
