"""The operator's own HTTP endpoints: /healthz and /readyz on one port, /metrics on another.

They answer in the event loop that does the work, so that a loop which hangs does not look healthy.
They serve words and numbers only; nothing is accepted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

_Handler = Callable[[web.Request], Awaitable[web.Response]]


async def serve(port: int, routes: Mapping[str, _Handler]) -> None:
    """Serves `routes` on all addresses until cancelled."""
    application = web.Application()
    application.add_routes([web.get(path, handler) for path, handler in routes.items()])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def verdict(ailment: Callable[[], str | None]) -> _Handler:
    """200 while there is no ailment; else 503 and its name."""

    async def answer(_: web.Request) -> web.Response:
        reason = ailment()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    return answer


def metrics(exposition: Callable[[], bytes]) -> _Handler:
    """The metrics as text."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return answer
