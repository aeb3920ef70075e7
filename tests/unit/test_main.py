"""The operator as a process, against the counting fake API server."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from api_access import write_kubeconfig
from fake_api_server import FakeApiServer, status
from ringfence import names
from ringfence.api import Json
from ringfence.conditions import ready_reason
from ringfence.main import PartEnded, supervise
from samples import sandbox_node

OPERATOR = Path(__file__).parents[2] / "operator"
EXIT_SECONDS = 15.0
"""Half of the time that a kubelet gives; it takes one second, or five if a part hangs."""

CLASS: Json = {
    "apiVersion": names.API_VERSION,
    "kind": "SandboxClass",
    "metadata": {
        "name": "default",
        "annotations": {names.DEFAULT_CLASS_ANNOTATION: "true"},
    },
    "spec": {"images": {"default": "example.test/sandbox:1"}},
}


def _sandbox(name: str) -> Json:
    meta = {"namespace": "ns", "name": name, "generation": 1}
    return {"apiVersion": names.API_VERSION, "kind": "Sandbox", "metadata": meta, "spec": {}}


def _reason(server: FakeApiServer, name: str) -> str | None:
    return ready_reason(server.objects["sandboxes", "ns", name].get("status", {}))


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """An operator process and its two ports."""

    def __init__(self, kubeconfig: Path, **settings: str) -> None:
        self.probe_port, self.metrics_port = _free_port(), _free_port()
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(OPERATOR),
            "KUBECONFIG": str(kubeconfig),
            "RINGFENCE_PROXY_IMAGE": "example.test/proxy:1",
            "RINGFENCE_OPERATOR_IMAGE": "example.test/operator:1",
            "RINGFENCE_RESOLVER": "10.96.0.10",
            "RINGFENCE_PROBE_PORT": str(self.probe_port),
            "RINGFENCE_METRICS_PORT": str(self.metrics_port),
            **settings,
        }
        self.process: Process | None = None

    async def start(self, *arguments: str) -> Process:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ringfence.main",
            *arguments,
            env=self._environment,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )
        return self.process

    async def answer(self, port: int, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}{path}") as response,
        ):
            return response.status, await response.text()

    async def ready(self) -> tuple[int, str]:
        """What /readyz says once it answers."""
        async with asyncio.timeout(15.0):
            while True:
                with suppress(aiohttp.ClientConnectionError):
                    return await self.answer(self.probe_port, "/readyz")
                await asyncio.sleep(0.05)

    async def end(self) -> None:
        if self.process and self.process.returncode is None:
            self.process.kill()
        if self.process:
            await self.process.communicate()


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as serving:
        yield serving


@pytest.fixture
async def operator(server: FakeApiServer, tmp_path: Path) -> AsyncIterator[Running]:
    running = Running(write_kubeconfig(tmp_path, server.url))
    yield running
    await running.end()


async def test_a_sandbox_waits_for_a_node_becomes_children_and_sigterm_ends_the_operator_well(
    server: FakeApiServer, operator: Running
) -> None:
    server.put("sandboxclasses", CLASS)
    server.put("sandboxes", _sandbox("early"))
    process = await operator.start()
    await until(lambda: _reason(server, "early") == "ProfilesNotInstalled")
    await until(lambda: server.watching("sandboxnodes"))
    server.put("sandboxnodes", sandbox_node())
    await until(lambda: ("pods", "ns", "early") in server.objects)
    server.put("sandboxes", _sandbox("late"))
    await until(lambda: ("pods", "ns", "late") in server.objects)
    assert await operator.ready() == (200, "ok\n")
    assert await operator.answer(operator.probe_port, "/healthz") == (200, "ok\n")
    _, scraped = await operator.answer(operator.metrics_port, "/metrics")
    assert 'ringfence_api_requests_total{code="200",kind="Pod",verb="apply"} 2.0' in scraped
    assert "process_resident_memory_bytes" in scraped
    process.send_signal(signal.SIGTERM)
    output, errors = await asyncio.wait_for(process.communicate(), EXIT_SECONDS)
    assert process.returncode == 0, output.decode()
    assert errors == b""
    for line in output.splitlines():
        assert {"event", "level", "logger", "timestamp"} <= json.loads(line).keys()


async def test_a_restart_writes_nothing(server: FakeApiServer, operator: Running) -> None:
    server.put("sandboxclasses", CLASS)
    server.put("sandboxnodes", sandbox_node())
    server.put("sandboxes", _sandbox("a"))
    process = await operator.start()
    await until(lambda: ("pods", "ns", "a") in server.objects)
    await asyncio.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), EXIT_SECONDS)
    server.counts.clear()
    process = await operator.start()
    await until(lambda: server.counts["GET pods"] > 0 and server.watching("pods"))
    await asyncio.sleep(0.3)
    assert server.writes == 0, server.counts


async def test_the_operator_waits_unready_for_an_api_server_that_is_down(
    server: FakeApiServer, operator: Running
) -> None:
    server.fault = lambda _: status(503, "ServiceUnavailable")
    process = await operator.start()
    code, reason = await operator.ready()
    assert (code, reason) == (503, "waiting for the first list of Sandboxes\n")
    assert (await operator.answer(operator.probe_port, "/healthz"))[0] == 200
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 5.0) == 0


async def test_a_watch_that_dies_ends_the_process_with_an_error(
    server: FakeApiServer, operator: Running
) -> None:
    process = await operator.start()
    await until(lambda: server.watching("sandboxes") and server.watching("pods"))
    server.break_watches(code=500)
    output, _ = await asyncio.wait_for(process.communicate(), 10.0)
    assert process.returncode == 1
    assert b"Error in the watch-stream" in output


async def test_a_watch_that_dies_while_another_connects_still_ends_the_process(
    server: FakeApiServer, operator: Running
) -> None:
    released, held = asyncio.Event(), asyncio.Event()

    async def hold_a_watch(request: web.Request) -> None:
        if request.path.endswith("/configmaps") and "watch" in request.query:
            held.set()
            await released.wait()

    server.hold = hold_a_watch
    process = await operator.start()
    await asyncio.wait_for(held.wait(), 15.0)
    await until(lambda: server.watching("sandboxes"))
    server.break_watches(code=500)
    await asyncio.wait_for(process.communicate(), 5.0)
    released.set()
    assert process.returncode == 1


async def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    running = Running(tmp_path / "none", RINGFENCE_PROXY_IMAGE="")
    process = await running.start()
    output, _ = await process.communicate()
    assert process.returncode == 2
    assert "RINGFENCE_PROXY_IMAGE is not set" in json.loads(output)["event"]


async def test_help_names_every_variable(tmp_path: Path) -> None:
    process = await Running(tmp_path / "none").start("--help")
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert b"RINGFENCE_PROXY_IMAGE" in output
    assert b"RINGFENCE_RESYNC_SECONDS" in output


async def test_a_part_that_returns_ends_the_others() -> None:
    others = asyncio.Event()

    async def returns() -> None:
        """Ends at once."""

    async def lasts() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            others.set()

    with pytest.raises(PartEnded, match="short"):
        await supervise({"long": lasts(), "short": returns()}, asyncio.Event())
    assert others.is_set()


async def test_a_stop_is_no_failure() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, stop.set)
    await supervise({"long": asyncio.sleep(20.0)}, stop)
