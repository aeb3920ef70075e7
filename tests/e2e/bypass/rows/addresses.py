"""Private, link-local and metadata addresses, directly and in every spelling."""

from __future__ import annotations

from bypass import places
from bypass.model import Layer, Row

_BOTH = (Layer.FENCE, Layer.POLICY)

_SPELLINGS = {
    "dotted": places.METADATA,
    "decimal": "2852039166",
    "hexadecimal": "0xa9fea9fe",
    "octal": "0251.0376.0251.0376",
    "short": "169.254.43518",
    "mixed": "0xa9.254.0251.254",
}
_CLOUDS = {
    "ecs": places.ECS,
    "alibaba": places.ALIBABA,
    "oracle": places.ORACLE,
    "azure": places.AZURE,
}


def _row(name: str, what: str, address: str, port: int) -> Row:
    return Row(name, what, "ways.tcp", {"address": address, "port": port}, _BOTH)


ROWS = (
    *(_row(f"metadata-{n}", f"metadata, {n}: {a}", a, 80) for n, a in _SPELLINGS.items()),
    *(_row(f"metadata-{n}", f"metadata of another cloud: {a}", a, 80) for n, a in _CLOUDS.items()),
    _row("private", "a private address", places.PRIVATE, 443),
    _row("carrier", "a carrier-grade NAT address", places.CARRIER, 443),
    Row(
        "metadata-udp",
        "metadata by UDP",
        "ways.udp",
        {"address": places.METADATA, "port": 80},
        _BOTH,
    ),
)
