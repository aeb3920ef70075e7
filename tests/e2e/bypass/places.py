"""Names and addresses of the stand-in internet. Constants only."""

from typing import Final

from bypass.model import Place
from cluster import config

ZONE: Final = "bypass.test"
ALLOWED: Final = f"allowed.{ZONE}"
BELOW: Final = f"a.wild.{ZONE}"
UNLISTED: Final = f"unlisted.{ZONE}"
DOH: Final = f"doh.{ZONE}"

PUBLIC: Final = "203.0.113.20"
OTHER: Final = "203.0.113.30"
RESOLVER: Final = "203.0.113.53"
"""Answers for the zone: cluster DNS asks it, and it is the outside resolver as well."""
DEAD: Final = "203.0.113.66"
"""Nobody has it."""
HOSTILE: Final = {
    "garbage": "203.0.113.41",
    "silent": "203.0.113.42",
    "flood": "203.0.113.43",
    "reset": "203.0.113.44",
}

PRIVATE: Final = "10.9.9.9"
METADATA: Final = "169.254.169.254"
ECS: Final = "169.254.170.2"
ALIBABA: Final = "100.100.100.200"
ORACLE: Final = "192.0.0.192"
AZURE: Final = "168.63.129.16"
CARRIER: Final = "100.64.0.7"
CLOUDS: Final = (METADATA, ECS, ALIBABA, ORACLE, AZURE)

PUBLIC_6: Final = "2001:db8:77::20"
MAPPED: Final = f"::ffff:{PUBLIC}"
NAT64: Final = "64:ff9b::cb00:7114"
UNIQUE_LOCAL: Final = "fd00:77::20"
METADATA_6: Final = "fd00:ec2::254"
SIX_TO_FOUR: Final = "2002:cb00:7114::1"
ADDRESSES_6: Final = (PUBLIC_6, NAT64, UNIQUE_LOCAL, METADATA_6, SIX_TO_FOUR)

LIARS: Final = {
    f"private.{ZONE}": (PRIVATE,),
    f"metadata.{ZONE}": (METADATA,),
    f"loopback.{ZONE}": ("127.0.0.1",),
    f"zero.{ZONE}": ("0.0.0.0",),  # noqa: S104 - a lie, not a place to listen
    f"node.{ZONE}": (config.NODE_ADDRESS,),
    f"apiserver.{ZONE}": (config.API_SERVICE_ADDRESS,),
    f"carrier.{ZONE}": (CARRIER,),
    f"azure.{ZONE}": (AZURE,),
    f"behind.{ZONE}": (DEAD, PRIVATE),
    f"before.{ZONE}": (PRIVATE, PUBLIC),
}
"""Listed names and where they lead."""
REBIND: Final = f"rebind.{ZONE}"
"""Each name below it is public at first, and private from the second question on."""
MISSING: Final = f"missing.{ZONE}"
FAILING: Final = f"failing.{ZONE}"
MUTE: Final = f"mute.{ZONE}"
ONLY_6: Final = f"only6.{ZONE}"
HOSTILE_NAMES: Final = {f"{kind}.{ZONE}": address for kind, address in HOSTILE.items()}

HTTPS: Final = Place(PUBLIC, 443)
API_SERVICE: Final = Place(config.API_SERVICE_ADDRESS, 443)
API_SERVER: Final = Place(config.CONTROL_ADDRESS, config.API_PORT)
KUBELET: Final = Place(config.NODE_ADDRESS, 10250)
DNS_SERVICE: Final = Place(config.DNS_SERVICE_ADDRESS, 53)
INBOUND_PORT: Final = 18080
SERVER_PORT: Final = 8080
NODE_PORT: Final = 30777
NODE_DOOR: Final = 18081
POD_GATEWAY: Final = "10.244.0.1"

LISTED: Final = (
    ALLOWED,
    f"*.wild.{ZONE}",
    *LIARS,
    f"*.{REBIND}",
    MISSING,
    FAILING,
    MUTE,
    ONLY_6,
    *HOSTILE_NAMES,
)
"""What the Sandbox's allowlist has, each with port 443; ALLOWED also with 8443."""
