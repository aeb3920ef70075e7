"""What flows inside a CONNECT tunnel: the internal listener and the clusters of the egress proxy.

Reads the TLS ClientHello, insists that its server name is the CONNECT target, resolves that name,
checks the address and splices bytes. It must not terminate TLS or listen on a socket.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Network

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
    dns_resolver,
    internal_cluster,
    internal_listener,
    named,
    seconds,
)

TUNNEL = "tunnel"
_RESOLVED = "resolved"
_SERVER_NAME = named(
    "envoy.matching.inputs.server_name",
    "extensions.matching.common_inputs.network.v3.ServerNameInput",
)
_TARGET = named(
    "envoy.matching.inputs.filter_state",
    "extensions.matching.common_inputs.network.v3.FilterStateInput",
    key=AUTHORITY,
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


def _address_matcher(**fields: Json) -> Json:
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
    return {
        "name": "egress",
        "dns_lookup_family": "V4_ONLY",
        "host_ttl": "300s",
        "max_hosts": 256,
        "dns_query_timeout": seconds(CONNECT_SECONDS),
        "typed_dns_resolver_config": dns_resolver(resolver),
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
        cluster=_RESOLVED,
        idle_timeout=seconds(IDLE_SECONDS),
        max_downstream_connection_duration=seconds(TUNNEL_SECONDS),
        # Not before the check has seen the ClientHello: not even a SYN reaches a denied address.
        upstream_connect_mode="ON_DOWNSTREAM_DATA",
        max_early_data_bytes=BUFFER_BYTES,
    )


@dataclass(frozen=True)
class _Group:
    """Hosts that share a filter chain, and so the fate of their open tunnels."""

    name: str
    port: int
    hosts: Sequence[str]


def _shared(port: int, hosts: Sequence[str]) -> _Group:
    # Envoy keeps the tunnels of a chain that is as before: the name must change with the hosts.
    digest = sha256(" ".join(hosts).encode()).hexdigest()[:16]
    return _Group(f"{digest}:{port}", port, hosts)


def _groups(by_port: HostsByPort) -> list[_Group]:
    """Give each host a filter chain of its own, so that removing one cuts only its tunnels.

    A chain takes 0.4 MiB, so a very long allowlist shares one per port: any change of it cuts the
    tunnels of all its hosts.
    """
    if sum(map(len, by_port.values())) > MAX_CHAINS:
        return [_shared(port, hosts) for port, hosts in by_port.items()]
    pairs = [(port, host) for port, hosts in by_port.items() for host in hosts]
    return [_Group(f"{host}:{port}", port, [host]) for port, host in pairs]


def _chains(groups: Sequence[_Group], resolver: str) -> list[Json]:
    # The same objects in every chain: YAML writes them once, and a ConfigMap has a size limit.
    ports = {group.port for group in groups}
    filters = {port: [_resolve(port, resolver), _check(port), _splice()] for port in ports}
    return [{"name": group.name, "filters": filters[group.port]} for group in groups]


def _chain_called(name: str) -> Json:
    value = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": name}
    return {"action": {"name": "chain", "typed_config": value}}


def _ends_in(suffix: str, data: Json, then: Json) -> Json:
    predicate = {"single_predicate": {"input": data, "value_match": {"suffix": suffix}}}
    return {"predicate": predicate, "on_match": then}


def _by_name(groups: Sequence[_Group]) -> Json:
    """Select a chain by server name: by the exact name first, then by the longest suffix.

    Not yet that the server name is the target: that is the chain's own check.
    """
    called = [(group.hosts, _chain_called(group.name)) for group in groups]
    chains = {host: chain for hosts, chain in called for host in hosts}
    exact = {host: chain for host, chain in chains.items() if not host.startswith("*.")}
    suffixes = sorted(chains.keys() - exact.keys(), key=lambda host: (-len(host), host))
    below = [_ends_in(host.removeprefix("*"), _SERVER_NAME, chains[host]) for host in suffixes]
    wider = {"matcher_list": {"matchers": below}}
    if not exact:
        return wider
    own = {"matcher_tree": {"input": _SERVER_NAME, "exact_match_map": {"map": exact}}}
    return {**own, "on_no_match": {"matcher": wider}} if below else own


def _chain_matcher(groups: Sequence[_Group]) -> Json:
    """Select by the port of the target, then by name.

    A map of names, for a list of predicates would take 40 KiB for each of them.
    """
    ports = sorted({group.port for group in groups})
    names = {port: _by_name([group for group in groups if group.port == port]) for port in ports}
    matchers = [_ends_in(f":{port}", _TARGET, {"matcher": names[port]}) for port in ports]
    return {"matcher_list": {"matchers": matchers}}


def listeners(by_port: HostsByPort, resolver: str) -> list[Json]:
    """Return the listener inside the tunnels; none where the allowlist opens no tunnel."""
    if not by_port:
        return []
    inspector = named(
        "envoy.filters.listener.tls_inspector",
        "extensions.filters.listener.tls_inspector.v3.TlsInspector",
        close_connection_on_client_hello_parsing_errors=True,
    )
    groups = _groups(by_port)
    tunnel = internal_listener(
        TUNNEL,
        listener_filters=[inspector],
        listener_filters_timeout=seconds(HELLO_SECONDS),
        filter_chain_matcher=_chain_matcher(groups),
        filter_chains=_chains(groups, resolver),
        access_log=[_tunnel_log()],
    )
    return [tunnel]


def clusters(resolver: str) -> list[Json]:
    """Return the way to that listener, and the cluster that dials resolved addresses."""
    resolved = {
        "name": _RESOLVED,
        "connect_timeout": seconds(CONNECT_SECONDS),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": named(
            "envoy.clusters.dynamic_forward_proxy",
            "extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
            dns_cache_config=_dns_cache(resolver),
        ),
    }
    return [internal_cluster(TUNNEL), resolved]
