"""The little of URLs that a kubeconfig and an exec need. Pure.

urllib.parse brings the module for IP addresses along, and costs a tenth of the start of `exec`.
"""

import string
from typing import Final, NamedTuple

_PLAIN: Final = frozenset((string.ascii_letters + string.digits + "-._~").encode())
_PORTS: Final = {"http": 80, "https": 443}


class Server(NamedTuple):
    """An http or https address, without a trailing slash."""

    secure: bool
    host: str
    port: int
    path: str


def quoted(text: str) -> str:
    """`text` as one value of a query."""
    data = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in data)


def server(url: str) -> Server:
    """The parts of a kubeconfig's `server`.

    Raises:
        ValueError: It is no http or https address.
    """
    scheme, separator, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    host, port = _split(authority)
    known = _PORTS.get(scheme.lower())
    if (
        not separator
        or known is None
        or not host
        or "@" in authority
        or (port and not port.isdigit())
    ):
        message = f"server {url!r} is no http or https address"
        raise ValueError(message)
    path = path.partition("?")[0].partition("#")[0].rstrip("/")
    return Server(scheme.lower() == "https", host, int(port or known), f"/{path}" if path else "")


def _split(authority: str) -> tuple[str, str]:
    """Host and port, the address of version 6 without its brackets."""
    if authority.startswith("["):
        host, _, rest = authority[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = authority.partition(":")
    return host, port


def for_the_wire(host: str) -> bytes:
    """A host as the resolver and TLS want it; only odd ones need the tables of IDNA."""
    return host.encode("ascii") if host.isascii() else host.encode("idna")
