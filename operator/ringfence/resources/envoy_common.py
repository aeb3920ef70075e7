"""Small helpers that every Envoy resource is written with, and the limits of the egress proxy.

They only shape dictionaries. What the proxy does with a request is in `envoy.py` (CONNECT),
`envoy_refusal.py` (how it says no), `envoy_tunnel.py` (what flows inside) and `envoy_bedrock.py`
(calls that it signs).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]
HostsByPort = Mapping[int, Sequence[str]]

PROXY_ADDRESS = "127.0.0.1"
GATEWAY_ADDRESS = "0.0.0.0"  # noqa: S104 - of a Pod's own network namespace, fenced by a NetworkPolicy
PROXY_PORT = 3128

# Limits. The proxy serves one Sandbox: what a busy `pip` or `npm` opens fits ten times over.
MAX_CONNECTIONS = 256
MAX_HEAP_BYTES = 160 * 1024 * 1024
MAX_CHAINS = 64
BUFFER_BYTES = 64 * 1024
IDLE_SECONDS = 300
TUNNEL_SECONDS = 3600
HELLO_SECONDS = 5
CONNECT_SECONDS = 5

AUTHORITY = "ringfence.connect_authority"


def typed(kind: str, **fields: Any) -> Json:
    """Return a message with its type, as `Any` fields and discovery files want it."""
    return {"@type": f"type.googleapis.com/envoy.{kind}", **fields}


def named(name: str, kind: str, **fields: Any) -> Json:
    """Return an extension: a registered name and its typed configuration."""
    return {"name": name, "typed_config": typed(kind, **fields)}


def seconds(number: int) -> str:
    """Return a duration as protobuf's JSON form writes it."""
    return f"{number}s"


def resources(items: Iterable[Json]) -> Json:
    """Wrap resources as the discovery response that a file subscription reads."""
    return {"resources": list(items)}


def access_log(stage: str, **fields: str) -> Json:
    """Write one JSON line per connection to standard output, where the agent cannot reach it."""
    common = {
        "time": "%START_TIME%",
        "stage": stage,
        "flags": "%RESPONSE_FLAGS%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "duration_ms": "%DURATION%",
    }
    return named(
        "envoy.access_loggers.stdout",
        "extensions.access_loggers.stream.v3.StdoutAccessLog",
        log_format={"json_format": {**common, **fields}},
    )


def dns_resolver(address: str) -> Json:
    """Ask this DNS server and no other."""
    server = {"socket_address": {"address": address, "port_value": 53}}
    return named(
        "envoy.network.dns_resolver.cares",
        "extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
        resolvers=[server],
        use_resolvers_as_fallback=False,
        dns_resolver_options={"no_default_search_domain": True},
    )


def internal_listener(name: str, **fields: Any) -> Json:
    """Return a listener without a socket: only the proxy's own clusters reach it."""
    return typed(
        "config.listener.v3.Listener",
        name=name,
        internal_listener={},
        ignore_global_conn_limit=True,  # its connections were counted on loopback
        per_connection_buffer_limit_bytes=BUFFER_BYTES,
        **fields,
    )


def internal_cluster(name: str, **fields: Any) -> Json:
    """Return the cluster that leads to the internal listener of the same name."""
    endpoint = {"address": {"envoy_internal_address": {"server_listener_name": name}}}
    raw = named(
        "envoy.transport_sockets.raw_buffer", "extensions.transport_sockets.raw_buffer.v3.RawBuffer"
    )
    return {
        "name": name,
        "connect_timeout": seconds(CONNECT_SECONDS),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
        },
        "transport_socket": named(
            "envoy.transport_sockets.internal_upstream",
            "extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
            transport_socket=raw,
        ),
        **fields,
    }
