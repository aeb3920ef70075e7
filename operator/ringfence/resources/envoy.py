"""Envoy resources (v3 API) of the egress proxy, as plain dictionaries.

A CONNECT request passes two listeners. `egress` on a port reads the request and compares its
target with the allowlist; then the internal listener `tunnel` reads the TLS ClientHello inside the
tunnel, insists that its server name is the CONNECT target, resolves it, checks the address and
splices bytes. TLS is never terminated. It must not decide what is allowed: that is `egress.py`.

Every file that Envoy watches costs an inotify instance, of which a node has few. So only what
follows the allowlist is discovered (listeners and routes), and clusters are the same for all.
"""

from collections.abc import Sequence

from ringfence.resources.envoy_common import (
    AUTHORITY,
    BUFFER_BYTES,
    HELLO_SECONDS,
    IDLE_SECONDS,
    MAX_CONNECTIONS,
    MAX_HEAP_BYTES,
    PROXY_PORT,
    HostsByPort,
    Json,
    access_log,
    named,
    seconds,
    typed,
)
from ringfence.resources.envoy_refusal import local_reply, refusals
from ringfence.resources.envoy_tunnel import TUNNEL

_RUNTIME = {"re2.max_program_size.error_level": 4096, "re2.max_program_size.warn_level": 4096}


def watched(directory: str, name: str) -> Json:
    """Read one file, again whenever something is moved into its directory.

    A ConfigMap volume is updated by a rename of `..data`, so the files themselves never change.
    """
    source = {"path": f"{directory}/{name}", "watched_directory": {"path": directory}}
    return {"path_config_source": source, "resource_api_version": "V3"}


def _overload() -> Json:
    heap = "envoy.resource_monitors.fixed_heap"
    connections = "envoy.resource_monitors.global_downstream_max_connections"
    monitors = "extensions.resource_monitors"
    actions = {
        "shrink_heap": {"threshold": {"value": 0.9}},
        "stop_accepting_requests": {"threshold": {"value": 0.95}},
        # The greatest first, more of them the fuller the heap is: bodies that wait to be signed.
        "reset_high_memory_stream": {
            "scaled": {"scaling_threshold": 0.7, "saturation_threshold": 0.9}
        },
    }
    return {
        "refresh_interval": "0.25s",
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": 20},
        "resource_monitors": [
            named(
                heap,
                f"{monitors}.fixed_heap.v3.FixedHeapConfig",
                max_heap_size_bytes=MAX_HEAP_BYTES,
            ),
            named(
                connections,
                f"{monitors}.downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=MAX_CONNECTIONS,
            ),
        ],
        "actions": [
            {
                "name": f"envoy.overload_actions.{action}",
                "triggers": [{"name": heap, **trigger}],
            }
            for action, trigger in actions.items()
        ],
    }


def bootstrap(directory: str, clusters: Sequence[Json], listeners: Sequence[Json] = ()) -> Json:
    """Return the start configuration: no admin interface, no statistics, fixed clusters."""
    fixed: Json = {"clusters": list(clusters)}
    return {
        "node": {"id": "egress-proxy", "cluster": "ringfence"},
        "dynamic_resources": {"lds_config": watched(directory, "lds.yaml")},
        "static_resources": fixed | ({"listeners": list(listeners)} if listeners else {}),
        "bootstrap_extensions": [
            named(
                "envoy.bootstrap.internal_listener",
                "extensions.bootstrap.internal_listener.v3.InternalListener",
            )
        ],
        "overload_manager": _overload(),
        # The paths of permitted models are one expression; the default is made for short ones.
        "layered_runtime": {"layers": [{"name": "limits", "static_layer": _RUNTIME}]},
        # Nothing could read them, and they are most of the memory of an idle proxy's configuration.
        "stats_config": {"stats_matcher": {"reject_all": True}},
    }


def _request_log() -> Json:
    """Log what the CONNECT stage refused; a tunnel is logged once, by its own stage."""
    log = access_log(
        "connect",
        method="%REQ(:METHOD):16%",
        host="%REQ(:AUTHORITY):300%",
        code="%RESPONSE_CODE%",
        details="%RESPONSE_CODE_DETAILS%",
    )
    refused = {"op": "GE", "value": {"default_value": 300, "runtime_key": "ringfence.log"}}
    opened = {"op": "EQ", "value": {"default_value": 0, "runtime_key": "ringfence.log_none"}}
    filters = [
        {"status_code_filter": {"comparison": comparison}} for comparison in (refused, opened)
    ]
    return {**log, "filter": {"or_filter": {"filters": filters}}}


def _keep_authority() -> Json:
    """Hand the CONNECT target to the tunnel's listener, which compares the server name with it."""
    value = {
        "object_key": AUTHORITY,
        # Hashable: or two targets share a connection pool, and the second tunnel gets the first's.
        "factory_key": "envoy.hashable_string",
        "format_string": {"text_format_source": {"inline_string": "%REQ(:AUTHORITY)%"}},
        "shared_with_upstream": "ONCE",
    }
    kind = "extensions.filters.http.set_filter_state.v3.Config"
    return named("envoy.filters.http.set_filter_state", kind, on_request_headers=[value])


def _connection_manager(directory: str) -> Json:
    return named(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="egress",
        codec_type="HTTP1",
        rds={"route_config_name": "egress", "config_source": watched(directory, "rds.yaml")},
        http_filters=[
            _keep_authority(),
            named(
                "envoy.filters.http.router",
                "extensions.filters.http.router.v3.Router",
                suppress_envoy_headers=True,
            ),
        ],
        # Python before 3.12 (so pip) asks for its tunnels with HTTP/1.0 and no Host header.
        http_protocol_options={"accept_http_10": True},
        upgrade_configs=[{"upgrade_type": "CONNECT"}],
        access_log=[_request_log()],
        local_reply_config=local_reply(),
        server_name="ringfence-egress",
        use_remote_address=True,
        generate_request_id=False,
        max_request_headers_kb=8,
        request_headers_timeout=seconds(HELLO_SECONDS),
        stream_idle_timeout=seconds(IDLE_SECONDS),
        delayed_close_timeout="0.1s",  # a client waits this long for the end of a tunnel
        common_http_protocol_options={"idle_timeout": "30s", "max_headers_count": 32},
    )


def listener(directory: str, listen: str) -> Json:
    """Return the listener that answers CONNECT requests, on the one address with an open port."""
    address = {"address": listen, "port_value": PROXY_PORT}
    return typed(
        "config.listener.v3.Listener",
        name="egress",
        address={"socket_address": address},
        per_connection_buffer_limit_bytes=BUFFER_BYTES,
        filter_chains=[{"filters": [_connection_manager(directory)]}],
    )


def _virtual_host(port: int, hosts: Sequence[str]) -> Json:
    # A wildcard domain accepts any prefix, so the target must also look like a name throughout.
    well_formed = {"safe_regex": {"regex": rf"([a-z0-9-]+\.)+[a-z0-9-]+:{port}"}}
    tunnel = {
        "match": {
            "connect_matcher": {},
            "headers": [{"name": ":authority", "string_match": well_formed}],
        },
        "route": {
            "cluster": TUNNEL,
            "timeout": "0s",
            "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}],
        },
    }
    domains = [f"{host}:{port}" for host in hosts]
    return {"name": f"port-{port}", "domains": domains, "routes": [tunnel, *refusals()]}


def routes(by_port: HostsByPort) -> Json:
    """Return the table of CONNECT targets.

    It is a resource of its own, so that a changed allowlist does not replace the listener, which
    would cut the tunnels of every host.
    """
    allowed = [_virtual_host(port, hosts) for port, hosts in by_port.items()]
    others = {"name": "refused", "domains": ["*"], "routes": refusals()}
    return typed(
        "config.route.v3.RouteConfiguration",
        name="egress",
        virtual_hosts=[*allowed, others],
        validate_clusters=False,
    )
