"""An API server whose Pods are this machine: what exec asks for runs here, as a real process.

Closing the connection does not end the process, as with a real kubelet. Objects are those of
FakeApiServer. It serves from a thread, so that blocking clients can be tested as they are.
"""

import asyncio
import fcntl
import json
import os
import pty
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from aiohttp import WSMsgType, web

from fake_api_server import FakeApiServer
from ringfence.api import Json
from ringfence.client.access import Access
from ringfence.client.wakeup import Wakeup
from ringfence.sdk.place import Place

_EXEC = "/api/v1/namespaces/{namespace}/pods/{pod}/exec"
_LOG = "/api/v1/namespaces/{namespace}/pods/{pod}/log"


def sandbox(name: str = "demo", namespace: str = "agents", *, ready: bool = True) -> Json:
    """A Sandbox as the operator leaves it."""
    condition = {
        "type": "Ready",
        "status": "True" if ready else "False",
        "reason": "PodReady" if ready else "Unschedulable",
        "message": "Pod demo runs" if ready else "no node has room",
    }
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "Sandbox",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {},
        "status": {"phase": "Running" if ready else "Pending", "conditions": [condition]},
    }


class LocalCluster:
    """One API server. `work` is the directory that commands start in."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.api = FakeApiServer()
        self.url = ""
        self.execs: list[web.Request] = []
        self.processes: list[asyncio.subprocess.Process] = []
        self.refuse: Json | None = None
        self.cut_after: float | None = None
        self.mute_first = False
        self.sizes: list[Json] = []
        self.log: bytes | None = b""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: "asyncio.Future[None] | object") -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)  # type: ignore[arg-type]

    async def _start(self) -> None:
        application = web.Application(client_max_size=1 << 30)
        application.router.add_get(_EXEC, self._exec)
        application.router.add_get(_LOG, self._serve_log)
        application.router.add_route("*", "/{path:.*}", self.api._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()
        for process in self.processes:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def kubeconfig(self, directory: Path) -> Path:
        """A kubeconfig for it; its context says namespace agents."""
        content = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "namespace": "agents"}}],
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
        }
        path = directory / "kubeconfig"
        path.write_text(json.dumps(content))
        return path

    def access(self) -> Access:
        """How a client reaches it."""
        port = int(self.url.rpartition(":")[2])
        return Access("127.0.0.1", port, "", {"User-Agent": "test"}, "agents", None, "", "")

    def place(self, wakeup: Wakeup | None = None) -> Place:
        """The Sandbox that commands run in."""
        return Place(self.access(), "agents", "demo", wakeup)

    async def _serve_log(self, request: web.Request) -> web.Response:
        self.execs.append(request)
        if self.log is None:
            body = {"kind": "Status", "reason": "BadRequest", "message": "no such container"}
            return web.json_response(body, status=400)
        return web.Response(body=self.log)

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        self.execs.append(request)
        if self.refuse:
            return web.json_response(self.refuse, status=self.refuse["code"])
        socket = web.WebSocketResponse(
            protocols=["v5.channel.k8s.io"],
            max_msg_size=0,
            autoping=not (self.mute_first and len(self.execs) == 1),
        )
        await socket.prepare(request)
        run = _Terminal if request.query.get("tty") else _Process
        running = run(self, request, socket)
        await running.run()
        await socket.close()
        return socket


class _Process:
    """One exec without a terminal."""

    def __init__(
        self, cluster: LocalCluster, request: web.Request, socket: web.WebSocketResponse
    ) -> None:
        self._cluster = cluster
        self._argv = request.query.getall("command")
        self._stdin = bool(request.query.get("stdin"))
        self._socket = socket

    async def run(self) -> None:
        process = await self._spawn()
        self._cluster.processes.append(process)
        tasks = [asyncio.ensure_future(self._send(n, s)) for n, s in self._outputs(process)]
        reader = asyncio.ensure_future(self._listen(process))
        waiter = asyncio.gather(*tasks, process.wait())
        seconds, first = self._cluster.cut_after, asyncio.FIRST_COMPLETED
        await asyncio.wait([waiter, reader], timeout=seconds, return_when=first)
        if waiter.done():
            await self._tell(process.returncode or 0)
        else:  # the client left, or is to be left alone; the process goes on
            waiter.cancel()
            with suppress(asyncio.CancelledError):
                await waiter
        reader.cancel()
        with suppress(asyncio.CancelledError):
            await reader

    async def _spawn(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=pipe if self._stdin else asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            cwd=self._cluster.work,
            start_new_session=True,
        )

    def _outputs(
        self, process: asyncio.subprocess.Process
    ) -> Iterator[tuple[int, asyncio.StreamReader]]:
        assert process.stdout is not None
        assert process.stderr is not None
        yield 1, process.stdout
        yield 2, process.stderr

    async def _send(self, channel: int, stream: asyncio.StreamReader) -> None:
        while data := await stream.read(32 * 1024):
            with suppress(ConnectionError):
                await self._socket.send_bytes(bytes([channel]) + data)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.BINARY:
                await self._hear(process, message.data)

    async def _hear(self, process: asyncio.subprocess.Process, data: bytes) -> None:
        if process.stdin is None:
            return
        with suppress(ConnectionError):
            if data == b"\xff\x00":
                process.stdin.close()
            elif data[0] == 0:
                process.stdin.write(data[1:])
                await process.stdin.drain()

    async def _tell(self, code: int) -> None:
        status: Json = {"status": "Success"}
        if code:
            number = 128 - code if code < 0 else code
            cause = {"reason": "ExitCode", "message": str(number)}
            status = {"status": "Failure", "reason": "NonZeroExitCode"}
            status["details"] = {"causes": [cause]}
        with suppress(ConnectionError):
            await self._socket.send_bytes(b"\x03" + json.dumps(status).encode())


class _Terminal(_Process):
    """One exec with a terminal."""

    _master = -1

    async def _spawn(self) -> asyncio.subprocess.Process:
        self._master, slave = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=self._cluster.work,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        return process

    def _outputs(
        self,
        process: asyncio.subprocess.Process,  # noqa: ARG002 - a terminal has its own
    ) -> Iterator[tuple[int, asyncio.StreamReader]]:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()

        def ready() -> None:
            try:
                data = os.read(self._master, 4096)
            except OSError:  # the last process that had it open has ended
                data = b""
            if data:
                reader.feed_data(data)
            else:
                loop.remove_reader(self._master)
                os.close(self._master)
                reader.feed_eof()

        loop.add_reader(self._master, ready)
        yield 1, reader

    async def _hear(self, process: asyncio.subprocess.Process, data: bytes) -> None:
        assert process.returncode is None or data
        if data[0] == 0:
            os.write(self._master, data[1:])
        elif data[0] == 4:
            size = json.loads(data[1:])
            self._cluster.sizes.append(size)
            packed = struct.pack("HHHH", size["Height"], size["Width"], 0, 0)
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, packed)


@contextmanager
def local_cluster(work: Path) -> Iterator[LocalCluster]:
    """A cluster with one Sandbox, demo in agents, that is Ready."""
    with LocalCluster(work) as cluster:
        cluster.api.put("sandboxes", sandbox())
        yield cluster
