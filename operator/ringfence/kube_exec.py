"""The API server as a person at a command line needs it: the kubeconfig, and commands in Pods.

Commands run over the websocket of pods/exec, in the version that can close standard input. What
they write is the word of a hostile program: it is cut, decoded loosely, and never interpreted.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.stream import WsApiClient

from ringfence import __version__
from ringfence.client.ending import ending
from ringfence.kinds import POD, ApiError, Container, Finished, object_path
from ringfence.kube import Kube, identification

_PROTOCOL: Final = "v5.channel.k8s.io"
_STDIN, _STDOUT, _STDERR, _ERROR, _CLOSE = 0, 1, 2, 3, 255
_CHUNK: Final = 32 * 1024
_LONGEST: Final = 1024 * 1024


class Session(NamedTuple):
    """One person's access to one cluster."""

    kube: Kube
    executor: "PodExec"


@asynccontextmanager
async def session(kubeconfig: str | None, context: str | None) -> AsyncIterator[Session]:
    """Access as kubectl would have it: the given kubeconfig, the usual one, or the Pod's account.

    Raises:
        ApiError: There is no such file or context.
    """
    settings = await _configuration(kubeconfig, context)
    settings.client_session_kwargs = {"trust_env": True}  # kubectl heeds HTTPS_PROXY too
    async with WsApiClient(settings) as client:  # type: ignore[no-untyped-call]
        client.user_agent = f"ringfence/{__version__}"
        yield Session(Kube(client, lambda _verb, _kind, _status: None), PodExec(client))


async def _configuration(kubeconfig: str | None, context: str | None) -> Configuration:
    settings = Configuration()
    try:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            kubeconfig, context, settings, persist_config=False
        )
    except (config.ConfigException, OSError) as error:
        if kubeconfig or context or not _in_cluster(settings):
            raise ApiError(0, "NoAccess", f"no cluster to talk to: {error}") from error
    return settings


def _in_cluster(settings: Configuration) -> bool:
    try:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        return False
    return True


class PodExec:
    """Implements ringfence.kinds.Executor."""

    def __init__(self, client: WsApiClient) -> None:
        self._client = client

    async def execute(self, container: Container, argv: Sequence[str], stdin: str = "") -> Finished:
        """Runs a command to its end, with `stdin` and then its end as standard input."""
        try:
            async with await self._open(container, argv) as connection:
                await _send(connection, stdin.encode())
                return await _receive(connection)
        except aiohttp.WSServerHandshakeError as error:
            message = f"exec in {container.pod} ({container.name}): HTTP {error.status}"
            raise ApiError(error.status, "ExecRefused", message) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ApiError(0, "Unreachable", f"exec in {container.pod}: {error}") from error

    async def _open(
        self, container: Container, argv: Sequence[str]
    ) -> "aiohttp.client._WSRequestContextManager":
        query = [("container", container.name), *(("command", word) for word in argv)]
        query += [(stream, "true") for stream in ("stdin", "stdout", "stderr")]
        path = object_path(POD, container.namespace, container.pod)
        url = f"{self._client.configuration.host}{path}/exec?{urlencode(query)}"
        headers = await identification(self._client)
        headers["sec-websocket-protocol"] = _PROTOCOL
        return await self._client.request(  # type: ignore[no-untyped-call, no-any-return]
            "GET", url, headers=headers, _preload_content=False
        )


async def _send(connection: aiohttp.ClientWebSocketResponse[bool], data: bytes) -> None:
    for start in range(0, len(data), _CHUNK):
        await connection.send_bytes(bytes([_STDIN]) + data[start : start + _CHUNK])
    await connection.send_bytes(bytes([_CLOSE, _STDIN]))


async def _receive(connection: aiohttp.ClientWebSocketResponse[bool]) -> Finished:
    """Reads all channels until the other side closes."""
    heard = {_STDOUT: bytearray(), _STDERR: bytearray(), _ERROR: bytearray()}
    async for message in connection:
        if message.type is aiohttp.WSMsgType.BINARY and message.data[:1]:
            channel, data = message.data[0], message.data[1:]
            if channel in heard and len(heard[channel]) < _LONGEST:
                heard[channel] += data
    texts = {channel: data.decode(errors="replace") for channel, data in heard.items()}
    code, problem = ending(texts[_ERROR])
    return Finished(texts[_STDOUT], texts[_STDERR], code, problem)
