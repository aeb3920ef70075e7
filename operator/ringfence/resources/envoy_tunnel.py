"""What flows inside a CONNECT tunnel: the internal listeners and clusters of the egress proxy.

Reads the TLS ClientHello, insists that its server name is the CONNECT target, resolves that name,
checks the address and splices bytes. It must not terminate TLS or listen on a socket.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any

from ringfence.allowlist import denied_ipv4
from ringfence.resources.envoy_common import (
    AUTHORITY,
    BUFFER_BYTES,
    CONNECT_SECONDS,
    HELLO_SECONDS,
    IDLE_SECONDS,
    MAX_CHAINS,
    TUNNEL_SECONDS,
    HostsByPort,
    Json,
    access_log,
    internal_cluster,
    internal_listener,
    named,
    seconds,
    typed,
)


def _tunnel_log() -> Json:
    return access_log(
        "tunnel",
        host=f"%FILTER_STATE({AUTHORITY}:PLAIN):300%",
        sni="%REQUESTED_SERVER_NAME%",
        address="%UPSTREAM_REMOTE_ADDRESS%",
        details="%CONNECTION_TERMINATION_DETAILS%",
    )


def _call(function: str, *args: Json) -> Json:
    return {"call_expr": {"function": function, "args": list(args)}}


def _text(value: str) -> Json:
    return {"const_expr": {"string_value": value}}


def _name_is_target(port: int) -> Json:
    """CEL syntax tree of `bytes(connection.requested_server_name + ":PORT") == target`."""
    connection = {"ident_expr": {"name": "connection"}}
    name = {"select_expr": {"operand": connection, "field": "requested_server_name"}}
    target = _call("_[_]", {"ident_expr": {"name": "filter_state"}}, _text(AUTHORITY))
    return _call("_==_", _call("bytes", _call("_+_", name, _text(f":{port}"))), target)


def _address_matcher(**fields: Any) -> Json:
    kind = "extensions.rbac.matchers.upstream_ip_port.v3.UpstreamIpPortMatcher"
    return {"matcher": named("envoy.rbac.matchers.upstream_ip_port", kind, **fields)}


def _in_network(network: IPv4Network) -> Json:
    prefix = {"address_prefix": str(network.network_address), "prefix_len": network.prefixlen}
    return _address_matcher(upstream_ip=prefix)


def _public_address(port: int) -> Json:
    """Permission that holds for a resolved, public address; without an address it never holds.

    A belt only: of several addresses in one DNS answer it sees the first, and the proxy dials the
    others when the first does not answer. NetworkPolicy refuses them all.
    """
    resolved = _address_matcher(upstream_port_range={"start": port, "end": port + 1})
    denied = {"or_rules": {"rules": [_in_network(network) for network in denied_ipv4()]}}
    return {"and_rules": {"rules": [resolved, {"not_rule": denied}]}}


def _check(port: int) -> Json:
    policy = {
        "permissions": [_public_address(port)],
        "principals": [{"any": True}],
        "condition": _name_is_target(port),
        "cel_config": {"enable_string_conversion": True, "enable_string_concat": True},
    }
    return named(
        "envoy.filters.network.rbac",
        "extensions.filters.network.rbac.v3.RBAC",
        stat_prefix="egress",
        rules={"action": "ALLOW", "policies": {"name-and-address": policy}},
    )


def _dns_cache(resolver: str) -> Json:
    server = {"socket_address": {"address": resolver, "port_value": 53}}
    return {
        "name": "egress",
        "dns_lookup_family": "V4_ONLY",
        "host_ttl": "300s",
        "max_hosts": 256,
        "dns_query_timeout": seconds(CONNECT_SECONDS),
        "typed_dns_resolver_config": named(
            "envoy.network.dns_resolver.cares",
            "extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            resolvers=[server],
            use_resolvers_as_fallback=False,
            dns_resolver_options={"no_default_search_domain": True},
        ),
    }


def _resolve(port: int, resolver: str) -> Json:
    return named(
        "envoy.filters.network.sni_dynamic_forward_proxy",
        "extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig",
        port_value=port,
        save_upstream_address=True,
        dns_cache_config=_dns_cache(resolver),
    )


def _splice() -> Json:
    return named(
        "envoy.filters.network.tcp_proxy",
        "extensions.filters.network.tcp_proxy.v3.TcpProxy",
        stat_prefix="egress",
        cluster="resolved",
        idle_timeout=seconds(IDLE_SECONDS),
        max_downstream_connection_duration=seconds(TUNNEL_SECONDS),
        # Not before the check has seen the ClientHello: not even a SYN reaches a denied address.
        upstream_connect_mode="ON_DOWNSTREAM_DATA",
        max_early_data_bytes=BUFFER_BYTES,
    )


def _chain(hosts: Sequence[str], filters: Sequence[Json]) -> Json:
    return {
        "name": hosts[0],
        "filter_chain_match": {"server_names": hosts},
        "filters": filters,
    }


def _groups(hosts: Sequence[str], by_port: HostsByPort) -> list[Sequence[str]]:
    """Give each host a filter chain of its own, so that removing one cuts only its tunnels.

    A chain takes 0.3 MiB, so a very long allowlist shares one per port: any change of it cuts the
    tunnels of all its hosts.
    """
    entries = sum(map(len, by_port.values()))
    return [[host] for host in hosts] if entries <= MAX_CHAINS else [hosts]


def _tunnel_listener(port: int, groups: Sequence[Sequence[str]], resolver: str) -> Json:
    inspector = named(
        "envoy.filters.listener.tls_inspector",
        "extensions.filters.listener.tls_inspector.v3.TlsInspector",
        close_connection_on_client_hello_parsing_errors=True,
    )
    # The same object in every chain: YAML then writes it once, and a ConfigMap has a size limit.
    filters = [_resolve(port, resolver), _check(port), _splice()]
    return internal_listener(
        f"tunnel-{port}",
        listener_filters=[inspector],
        listener_filters_timeout=seconds(HELLO_SECONDS),
        filter_chains=[_chain(hosts, filters) for hosts in groups],
        access_log=[_tunnel_log()],
    )


def listeners(by_port: HostsByPort, resolver: str) -> list[Json]:
    """Return one internal listener per port."""
    return [
        _tunnel_listener(port, _groups(hosts, by_port), resolver) for port, hosts in by_port.items()
    ]


def _resolved_cluster(resolver: str) -> Json:
    return typed(
        "config.cluster.v3.Cluster",
        name="resolved",
        connect_timeout=seconds(CONNECT_SECONDS),
        per_connection_buffer_limit_bytes=BUFFER_BYTES,
        lb_policy="CLUSTER_PROVIDED",
        cluster_type=named(
            "envoy.clusters.dynamic_forward_proxy",
            "extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
            dns_cache_config=_dns_cache(resolver),
        ),
    )


def clusters(by_port: HostsByPort, resolver: str) -> list[Json]:
    """Return one tunnel cluster per port, and the cluster that dials resolved addresses."""
    return [*(internal_cluster(f"tunnel-{port}") for port in by_port), _resolved_cluster(resolver)]
