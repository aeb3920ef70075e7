"""HTTP proxies between us and the API server, heeded as kubectl heeds them. I/O."""

import base64
import os
import socket
from typing import Final

_LONGEST_ANSWER: Final = 16 * 1024


def proxy_for(scheme: str, host: str) -> str:
    """The proxy that the environment names for a host; empty if none."""
    names = {name.lower() for name in os.environ}
    if not names & {f"{scheme}_proxy", "all_proxy"}:
        return ""  # importing urllib.request to find nothing would cost more than the question
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415

    return "" if proxy_bypass(host) else getproxies().get(scheme, "")


def tunnel(proxy: str, host: str, port: int, seconds: float) -> socket.socket:
    """A connection through an HTTP proxy.

    Raises:
        OSError: The proxy refused, or is no HTTP proxy.
    """
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - most need none

    url = urlsplit(proxy)
    if url.scheme != "http" or not url.hostname:
        message = f"proxy {url.scheme}://{url.hostname}: only http:// proxies are supported"
        raise OSError(message)
    connection = socket.create_connection((url.hostname, url.port or 80), seconds)
    user = (unquote(url.username), unquote(url.password or "")) if url.username else None
    try:
        _ask(connection, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", user)
    except BaseException:
        connection.close()
        raise
    return connection


def _ask(connection: socket.socket, target: str, user: tuple[str, str] | None) -> None:
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if user:
        encoded = base64.b64encode(":".join(user).encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {encoded}")
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    answer = b""
    # Byte by byte: what follows the answer belongs to whoever is behind the proxy.
    while not answer.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        answer += byte
        if not byte or len(answer) > _LONGEST_ANSWER:
            break
    status = answer.split(b"\r\n", 1)[0].decode(errors="replace")
    if " 200" not in status:
        message = f"the proxy says: {status or 'nothing'}"
        raise OSError(message)
