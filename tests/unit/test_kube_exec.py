"""Commands in containers, against a server that speaks the websocket of pods/exec."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web
from kubernetes.aio.config import incluster_config, kube_config

from api_access import service_account, write_kubeconfig
from fake_api_server import FakeApiServer
from ringfence import kube_exec
from ringfence.api import Json
from ringfence.kinds import NODE, ApiError, Container

AGENT = Container("agents", "demo", "agent")
SUCCESS = {"status": "Success"}
NO_PYTHON = {"status": "Failure", "reason": "InternalError", "message": "python3: not found"}


def exit_code(code: int) -> Json:
    cause = {"reason": "ExitCode", "message": str(code)}
    return {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [cause]}}


class Kubelet:
    """Plays the server's side of one exec; keeps what it was asked."""

    def __init__(self, *frames: bytes, status: Json | None = None) -> None:
        self.frames = [*frames]
        if status is not None:
            self.frames.append(b"\x03" + json.dumps(status).encode())
        self.stdin = b""
        self.closed_stdin = False
        self.request: web.Request | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.request = request
        socket = web.WebSocketResponse(protocols=["v5.channel.k8s.io"])
        await socket.prepare(request)
        async for message in socket:
            assert message.type is WSMsgType.BINARY
            if message.data == b"\xff\x00":
                self.closed_stdin = True
                break
            assert message.data[0] == 0
            self.stdin += message.data[1:]
        for frame in self.frames:
            await socket.send_bytes(frame)
        await socket.close()
        return socket


@asynccontextmanager
async def served(kubelet: Kubelet) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_get("/api/v1/namespaces/agents/pods/demo/exec", kubelet.serve)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def finished(kubelet: Kubelet, directory: Path, stdin: str = "") -> kube_exec.Finished:
    async with served(kubelet) as url:
        path = write_kubeconfig(directory, url)
        async with kube_exec.session(str(path), None) as session:
            return await session.executor.execute(AGENT, ["python3", "-", "a b"], stdin)


async def test_command_is_sent_as_it_is_and_its_output_comes_back(tmp_path: Path) -> None:
    kubelet = Kubelet(b"\x01out", b"\x02err", b"\x01put", status=SUCCESS)
    done = await finished(kubelet, tmp_path)
    assert done == ("output", "err", 0, "")
    assert kubelet.request is not None
    assert kubelet.request.query.getall("command") == ["python3", "-", "a b"]
    assert kubelet.request.query["container"] == "agent"
    assert kubelet.request.headers["Authorization"] == "Bearer of-the-kubeconfig"


async def test_standard_input_arrives_whole_and_ends(tmp_path: Path) -> None:
    kubelet = Kubelet(status=SUCCESS)
    text = "print('ü')\n" * 20_000
    await finished(kubelet, tmp_path, text)
    assert kubelet.stdin.decode() == text
    assert kubelet.closed_stdin


async def test_exit_code_of_the_command_is_told(tmp_path: Path) -> None:
    assert (await finished(Kubelet(status=exit_code(137)), tmp_path)).code == 137


async def test_command_that_does_not_start_has_a_problem_and_no_exit_code(tmp_path: Path) -> None:
    done = await finished(Kubelet(status=NO_PYTHON), tmp_path)
    assert (done.code, done.problem) == (None, "python3: not found")


async def test_connection_that_ends_early_is_no_success(tmp_path: Path) -> None:
    done = await finished(Kubelet(b"\x01half"), tmp_path)
    assert (done.stdout, done.code) == ("half", None)
    assert "ended before" in done.problem


async def test_flood_of_output_is_cut_and_odd_frames_are_ignored(tmp_path: Path) -> None:
    flood = [b"\x01" + b"x" * 500_000] * 8
    done = await finished(Kubelet(b"", b"\x09?", *flood, status=SUCCESS), tmp_path)
    assert 1_000_000 < len(done.stdout) <= 2_000_000
    assert done.code == 0


async def test_output_that_is_no_text_is_no_error(tmp_path: Path) -> None:
    assert (await finished(Kubelet(b"\x01\xff\xfe", status=SUCCESS), tmp_path)).stdout == "��"


async def test_refused_exec_is_an_api_error(tmp_path: Path) -> None:
    async with FakeApiServer() as server:
        server.fault = lambda _: web.Response(status=403)
        path = write_kubeconfig(tmp_path, server.url)
        async with kube_exec.session(str(path), None) as session:
            with pytest.raises(ApiError, match=r"exec in demo \(agent\): HTTP 403") as caught:
                await session.executor.execute(AGENT, ["true"])
    assert caught.value.status == 403


async def test_unreachable_server_is_an_api_error(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, "http://127.0.0.1:1")
    async with kube_exec.session(str(path), None) as session:
        with pytest.raises(ApiError, match="Unreachable"):
            await session.executor.execute(AGENT, ["true"])


@pytest.mark.parametrize(("name", "context"), [("none", None), ("kubeconfig", "other")])
async def test_missing_kubeconfig_or_context_is_told(
    tmp_path: Path, name: str, context: str | None
) -> None:
    write_kubeconfig(tmp_path, "http://127.0.0.1:1")
    with pytest.raises(ApiError, match="no cluster to talk to"):
        async with kube_exec.session(str(tmp_path / name), context):
            pass


async def test_inside_a_pod_its_own_account_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    files = service_account(tmp_path)
    async with FakeApiServer(tls=files.tls()) as server:
        server.put("nodes", {"metadata": {"name": "node-1"}})
        files.use(monkeypatch, server.url)
        async with kube_exec.session(None, None) as session:
            assert await session.kube.get(NODE, "", "node-1")
    assert server.requests[-1].headers["Authorization"] == "bearer first"


async def test_without_kubeconfig_and_outside_of_a_pod_there_is_no_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    monkeypatch.delenv(incluster_config.SERVICE_HOST_ENV_NAME, raising=False)
    with pytest.raises(ApiError, match="no cluster to talk to"):
        async with kube_exec.session(None, None):
            pass
