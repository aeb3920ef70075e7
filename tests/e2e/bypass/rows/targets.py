"""Every spelling of a CONNECT target that is not an allowed name."""

from __future__ import annotations

from bypass import places
from bypass.model import Layer, Place, Proof, Row
from cluster import config

_NAME, _OTHER = places.ALLOWED, places.UNLISTED
_OTHER_PLACE = Place(places.OTHER, 443)
_METADATA = Place(places.METADATA, 80)

_ADDRESSES = {
    "dotted": f"{places.OTHER}:443",
    "decimal": "3405803806:443",
    "hexadecimal": "0xcb00711e:443",
    "octal": "0313.0.0161.036:443",
    "octal-padded": "0203.0000.0113.0030:443",
    "short": "203.28958:443",
    "hex-dotted": "0xcb.0x00.0x71.0x1e:443",
    "bracketed": f"[{places.OTHER}]:443",
    "mapped": f"[::ffff:{places.OTHER}]:443",
    "mapped-hex": "[::ffff:cb00:711e]:443",
    "nat64": "[64:ff9b::cb00:711e]:443",
    "full-width": "\uff12\uff10\uff13.0.113.30:443",
    "circled": "\u2461\u24ea\u2462.0.113.30:443",
    "trailing-dot": f"{places.OTHER}.:443",
    "in-name": f"{places.OTHER}.wild.{places.ZONE}@{places.OTHER}:443",
}
_INSIDE = {
    "loopback": ("127.0.0.1:443", None),
    "loopback-short": ("127.1:443", None),
    "loopback-6": ("[::1]:443", None),
    "unspecified": ("0:443", None),
    "itself": ("127.0.0.1:3128", None),
    "localhost": ("localhost:443", None),
    "zone": ("[fe80::1%25eth0]:443", None),
    "metadata": (f"{places.METADATA}:80", _METADATA),
    "metadata-443": (f"{places.METADATA}:443", Place(places.METADATA, 443)),
    "metadata-decimal": ("2852039166:80", _METADATA),
    "metadata-6": (f"[{places.METADATA_6}]:80", Place(places.METADATA_6, 80)),
    "apiserver": (f"{config.API_SERVICE_ADDRESS}:443", places.API_SERVICE),
    "apiserver-name": ("kubernetes.default.svc.cluster.local:443", places.API_SERVICE),
    "kubelet": (f"{places.KUBELET}", places.KUBELET),
    "resolver": (f"{places.DNS_SERVICE}", places.DNS_SERVICE),
}
_NAMES = {
    "unlisted": f"{_OTHER}:443",
    "port-80": f"{_NAME}:80",
    "port-22": f"{_NAME}:22",
    "port-53": f"{_NAME}:53",
    "port-missing": _NAME,
    "port-empty": f"{_NAME}:",
    "port-zero": f"{_NAME}:0443",
    "port-wrapped": f"{_NAME}:65979",
    "port-twice": f"{_OTHER}:443:443",
    "port-sign": f"{_NAME}:+443",
    "user": f"{_NAME}@{_OTHER}:443",
    "user-password": f"{_NAME}:443@{_OTHER}:443",
    "user-wild": f"{_OTHER}:443@a.wild.{places.ZONE}:443",
    "nul": f"{_OTHER}\0.wild.{places.ZONE}:443",
    "nul-encoded": f"{_OTHER}%00.wild.{places.ZONE}:443",
    "trailing-dot": f"{_NAME}.:443",
    "leading-dot": f".wild.{places.ZONE}:443",
    "upper-case": f"{_NAME.upper()}:443",
    "suffix-itself": f"wild.{places.ZONE}:443",
    "suffix-glued": f"awild.{places.ZONE}:443",
    "below-exact": f"x.{_NAME}:443",
    "idna-dot": f"allowed\u3002{places.ZONE}:443",
    "idna-letter": f"\uff41llowed.{places.ZONE}:443",
    "space": f"{_OTHER} .wild.{places.ZONE}:443",
    "tab": f"{_OTHER}\t.wild.{places.ZONE}:443",
    "slash": f"{_OTHER}/.wild.{places.ZONE}:443",
    "hash": f"{_OTHER}#.wild.{places.ZONE}:443",
    "question": f"{_OTHER}?.wild.{places.ZONE}:443",
    "backslash": f"{_OTHER}\\.wild.{places.ZONE}:443",
    "url": f"https://{_NAME}:443/",
    "comma": f"{_NAME},{_OTHER}:443",
    "line-break": f"{_OTHER}\n.wild.{places.ZONE}:443",
    "empty": ":443",
}


def _latin(text: str) -> str:
    """The same bytes, one character each: requests are sent as Latin-1."""
    return text.encode().decode("latin-1")


def _row(name: str, target: str, dials: Place | None) -> Row:
    args = {"spelled": _latin(target), "server_name": _OTHER}
    proof = Proof.DIAL if dials else Proof.ITSELF
    what = f"CONNECT {target!r}"
    return Row(name, what, "tunnels.target", args, (Layer.PROXY,), proof, dials)


ROWS = (
    *(_row(f"address-{name}", target, _OTHER_PLACE) for name, target in _ADDRESSES.items()),
    *(_row(f"inside-{name}", target, dials) for name, (target, dials) in _INSIDE.items()),
    *(_row(f"name-{name}", target, _OTHER_PLACE) for name, target in _NAMES.items()),
)
