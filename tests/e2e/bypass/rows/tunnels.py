"""What flows in a tunnel, where listed names lead, and servers that misbehave."""

from __future__ import annotations

from bypass import places
from bypass.model import Layer, Place, Proof, Row

_NAME, _OTHER = places.ALLOWED, places.UNLISTED
_PROXY = (Layer.PROXY,)
_DIALS = Place(places.OTHER, 443)
_HOME = (places.PUBLIC,)
_BEHIND = (Layer.PROXY, Layer.FENCE, Layer.POLICY)

_CUT = (
    *("other name", "no name", "empty name", "trailing dot", "NUL before other"),
    *("NUL after host", "two names, host first", "two names, other first"),
    *("two extensions, host first", "two extensions, other first", "name of unknown type"),
    *("address", "several records, other name", "ECH, other outside", "other hello first"),
    *(
        "two hellos in a record",
        "late other name",
        "too late a name",
        "alert before other",
        "empty record before other",
    ),
    *("HTTP", "SSH", "PROXY protocol", "HTTP/2", "DTLS", "SSLv2 hello", "zeros"),
)
_PASSED = {
    "plain": "a ClientHello for the target",
    "several records": "the same in several TLS records",
    "late name": "the same after 9000 bytes of padding",
    "ECH, listed outside": "an encrypted ClientHello in it: the outer name counts",
    "upper case": "the same in capital letters",
}


def _slug(which: str) -> str:
    return "tls-" + which.lower().replace(", ", "-").replace(" ", "-").replace("/", "")


def _trick(which: str, layers: tuple[Layer, ...], what: str, *, step: int = 0) -> Row:
    args = {"which": which, "host": _NAME, "other": _OTHER, "step": step}
    name = _slug(which) + (f"-by-{step}" if step else "")
    if layers:
        return Row(name, what, "tunnels.trick", args, layers, Proof.DIAL, _DIALS)
    return Row(name, what, "tunnels.trick", args, proof=Proof.NONE, permits=_HOME)


_TRICKS = (
    *(_trick(which, (), f"in a tunnel: {what}") for which, what in _PASSED.items()),
    _trick("plain", (), "in a tunnel: a ClientHello byte by byte", step=1),
    *(_trick(which, _PROXY, f"in a tunnel: {which}") for which in _CUT),
    _trick("other name", _PROXY, "in a tunnel: another name, byte by byte", step=1),
    Row(
        "tls-second-hello",
        "in a tunnel: another name after the server's answer",
        "tunnels.second_hello",
        {"host": _NAME, "other": _OTHER},
        permits=_HOME,
    ),
)

_ALLOWED = (
    Row("page", "a page of a listed host", "tunnels.page", {"host": _NAME}, permits=_HOME),
    Row("page-8443", "the same on another listed port", "tunnels.page",
        {"host": _NAME, "port": 8443}, permits=_HOME),
    Row("page-below", "a page of a host below a listed suffix", "tunnels.page",
        {"host": places.BELOW}, permits=_HOME),
    Row("fronting", "another name inside of the encryption: the server's own business",
        "tunnels.page", {"host": _NAME, "asked": _OTHER}, permits=_HOME),
    Row("doh", "DNS over HTTPS at an unlisted host", "tunnels.doh", {"host": places.DOH}, _PROXY,
        Proof.DIAL, _DIALS),
)  # fmt: skip

_LED_TO = {
    f"private.{places.ZONE}": Place(places.PRIVATE, 443),
    f"metadata.{places.ZONE}": Place(places.METADATA, 443),
    f"node.{places.ZONE}": places.KUBELET,
    f"apiserver.{places.ZONE}": places.API_SERVICE,
    f"carrier.{places.ZONE}": Place(places.CARRIER, 443),
    f"azure.{places.ZONE}": Place(places.AZURE, 443),
    f"before.{places.ZONE}": Place(places.PRIVATE, 443),
}


def _lie(host: str, layers: tuple[Layer, ...] = _PROXY, dials: Place | None = None) -> Row:
    name = f"leads-to-{host.partition('.')[0]}"
    args = {"host": host}
    proof = Proof.DIAL if dials else Proof.ITSELF
    return Row(name, f"a listed name: {host}", "tunnels.lie", args, layers, proof, dials)


_LIES = (
    *(_lie(host, dials=dials) for host, dials in _LED_TO.items()),
    Row("leads-to-loopback", "a listed name that leads to the agent itself", "tunnels.lie",
        {"host": f"loopback.{places.ZONE}", "listen": "127.0.0.1"}, _PROXY, Proof.ITSELF),
    Row("leads-to-zero", "the same by 0.0.0.0", "tunnels.lie",
        {"host": f"zero.{places.ZONE}", "listen": "127.0.0.1"}, _PROXY, Proof.ITSELF),
    _lie(places.MISSING),
    _lie(places.FAILING),
    _lie(places.ONLY_6, dials=Place(places.PUBLIC_6, 443)),
    _lie(places.MUTE),
    _lie(f"behind.{places.ZONE}", _BEHIND, Place(places.PRIVATE, 443)),
    Row("rebinding", "a listed name that was public and becomes private", "tunnels.rebound",
        {"host": places.REBIND}, _PROXY, Proof.DIAL, Place(places.PRIVATE, 443), _HOME),
)  # fmt: skip

_HOSTILE = tuple(
    Row(
        f"server-{kind}",
        f"a listed server that is hostile: {kind}",
        "tunnels.hostile",
        {"host": f"{kind}.{places.ZONE}", "bystander": _NAME},
        permits=(address, *_HOME),
    )
    for kind, address in places.HOSTILE.items()
)

ROWS = (*_ALLOWED, *_TRICKS, *_LIES, *_HOSTILE)
