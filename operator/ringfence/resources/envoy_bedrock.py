"""How the egress proxy calls Bedrock for an agent that holds no credential.

A listener on loopback takes plain HTTP, lets calls of permitted models through and signs them with
the credentials of a file that a program beside the proxy keeps. A socket in a volume that the agent
does not mount leads that program to STS. What may be called is decided in `bedrock.py`.
"""

from typing import Final, NamedTuple

from ringfence import bedrock
from ringfence.policy import Identity
from ringfence.resources.envoy_common import (
    BUFFER_BYTES,
    CONNECT_SECONDS,
    HELLO_SECONDS,
    IDLE_SECONDS,
    PROXY_ADDRESS,
    Json,
    access_log,
    dns_resolver,
    named,
    seconds,
    typed,
)

SIGNING_PORT: Final = 3129

MAX_BODY_BYTES: Final = 25_000_000
"""The greatest body that Bedrock takes. It is held in memory, as the signature covers it."""
_UPLOAD_SECONDS: Final = 60
_SILENCE_SECONDS: Final = 900
"""A model may think that long before it says anything."""
_MAX_CONNECTIONS: Final = 16
"""With a body of the greatest size each they fit the memory of the container."""

_BEDROCK: Final = "bedrock"
_STS: Final = "sts"
_HTTP: Final = "extensions.filters.http"
_SIGNER: Final = "envoy.filters.http.aws_request_signing"
_ONLY_SIGNED: Final = "envoy.filters.http.rbac"

_NOT_A_CALL: Final = (
    "only POST /model/MODEL/invoke and /model/MODEL/invoke-with-response-stream pass this proxy"
)
_NOT_PERMITTED: Final = (
    "this model is none of those that the SandboxClass permits (spec.identity.modelArns)"
)
_NO_CREDENTIALS: Final = (
    "the egress proxy has no AWS credentials at present: see the Sandbox's condition IdentityReady"
)
_REPLIES: Final = {
    403: ("AccessDeniedException", "%LOCAL_REPLY_BODY%"),
    413: ("ValidationException", f"the request is larger than {MAX_BODY_BYTES} bytes"),
    503: ("ServiceUnavailableException", "Bedrock cannot be reached: %RESPONSE_CODE_DETAILS%"),
}
"""Our own replies: status, the exception that AWS SDKs make of it, and its message."""

_CLIENTS_OWN: Final = "authorization|proxy-authorization|cookie|x-amz-.*|x-forwarded-.*|x-envoy-.*"
"""Headers of the client that must not reach AWS: whatever could sign, or say who calls."""
_UNSIGNED: Final = (
    "connection",
    "content-length",
    "expect",
    "te",
    "transfer-encoding",
    "user-agent",
)
"""Headers that the way to AWS may change; SDKs leave them out as well."""


class Paths(NamedTuple):
    """Where the proxy finds what it signs and trusts with."""

    credentials: str = "/run/aws/credentials"
    """A new file is renamed to this name; one without credentials must be there at the start."""
    socket: str = "/run/sts/socket"
    """Made by the proxy; leads to STS and nowhere else."""
    trusted: str = "/etc/ssl/certs/ca-certificates.crt"
    """Certificate authorities."""


def listener(identity: Identity, paths: Paths) -> Json:
    """Return the listener on loopback that signs calls of permitted models."""
    limit = named(
        "envoy.filters.network.connection_limit",
        "extensions.filters.network.connection_limit.v3.ConnectionLimit",
        stat_prefix="bedrock",
        max_connections=_MAX_CONNECTIONS,
    )
    address = {"address": PROXY_ADDRESS, "port_value": SIGNING_PORT}
    return typed(
        "config.listener.v3.Listener",
        name=_BEDROCK,
        address={"socket_address": address},
        per_connection_buffer_limit_bytes=BUFFER_BYTES,
        filter_chains=[{"filters": [limit, _connection_manager(identity, paths)]}],
    )


def _connection_manager(identity: Identity, paths: Paths) -> Json:
    return named(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="bedrock",
        codec_type="HTTP1",
        route_config=_routes(identity),
        http_filters=[_strip(), _sign(identity, paths), _only_signed(), _router()],
        access_log=[_log()],
        local_reply_config=_local_replies(),
        server_name="ringfence-egress",
        use_remote_address=True,
        generate_request_id=False,
        max_request_headers_kb=16,
        request_headers_timeout=seconds(HELLO_SECONDS),
        request_timeout=seconds(_UPLOAD_SECONDS),
        stream_idle_timeout=seconds(_SILENCE_SECONDS),
        common_http_protocol_options={"idle_timeout": "60s", "max_headers_count": 64},
        # What is matched is what is sent: nobody may read another path into it.
        path_with_escaped_slashes_action="KEEP_UNCHANGED",
    )


def _log() -> Json:
    return access_log(
        "bedrock",
        method="%REQ(:METHOD):16%",
        path="%REQ(:PATH):300%",
        code="%RESPONSE_CODE%",
        details="%RESPONSE_CODE_DETAILS%",
        address="%UPSTREAM_REMOTE_ADDRESS%",
    )


# --- what is let through ----------------------------------------------------------------------


def _routes(identity: Identity) -> Json:
    permitted = bedrock.model_paths(identity.model_arns, identity.region)
    call = {
        "match": _post(permitted),
        "request_body_buffer_limit": MAX_BODY_BYTES,
        "route": {"cluster": _BEDROCK, "timeout": "0s"},
    }
    shape = f"/model/[^/?]+/({'|'.join(bedrock.OPERATIONS)})"
    refused = [
        _refusal(_post(shape), _NOT_PERMITTED),
        _refusal({"prefix": "/"}, _NOT_A_CALL),
        _refusal({"connect_matcher": {}}, _NOT_A_CALL),
    ]
    host = {"name": _BEDROCK, "domains": ["*"], "routes": [call, *refused]}
    return {"name": _BEDROCK, "virtual_hosts": [host]}


def _post(target: str) -> Json:
    """Match the whole request target, with its query: there is none to be had."""
    headers = {":method": {"exact": "POST"}, ":path": {"safe_regex": {"regex": target}}}
    return {
        "prefix": "/",
        "headers": [{"name": name, "string_match": match} for name, match in headers.items()],
    }


def _refusal(match: Json, message: str) -> Json:
    off = typed("config.route.v3.FilterConfig", disabled=True)
    return {
        "match": match,
        "direct_response": {"status": 403, "body": {"inline_string": message}},
        "typed_per_filter_config": {_SIGNER: off, _ONLY_SIGNED: off},
    }


# --- what is done with it ---------------------------------------------------------------------


def _strip() -> Json:
    removal = {"remove_on_match": {"key_matcher": {"safe_regex": {"regex": _CLIENTS_OWN}}}}
    return named(
        "envoy.filters.http.header_mutation",
        f"{_HTTP}.header_mutation.v3.HeaderMutation",
        mutations={"request_mutations": [removal]},
    )


def _sign(identity: Identity, paths: Paths) -> Json:
    """Envoy could ask STS itself, but verifies no certificate there (docs/identity.md)."""
    directory = paths.credentials.rpartition("/")[0]
    source = {"filename": paths.credentials, "watched_directory": {"path": directory}}
    return named(
        _SIGNER,
        f"{_HTTP}.aws_request_signing.v3.AwsRequestSigning",
        service_name="bedrock",
        region=identity.region,
        host_rewrite=bedrock.runtime_host(identity.region),
        match_excluded_headers=[{"exact": name} for name in _UNSIGNED],
        credential_provider={
            "custom_credential_provider_chain": True,  # nothing from the environment
            "credentials_file_provider": {
                "credentials_data_source": source,
                "profile": "default",
            },
        },
    )


def _only_signed() -> Json:
    """Without credentials Envoy passes a request on as it is; this stops it."""
    signed = {"header": {"name": "authorization", "present_match": True}}
    policy = {"permissions": [signed], "principals": [{"any": True}]}
    rules = {"action": "ALLOW", "policies": {"signed": policy}}
    return named(_ONLY_SIGNED, f"{_HTTP}.rbac.v3.RBAC", rules=rules)


def _router() -> Json:
    return named(
        "envoy.filters.http.router", f"{_HTTP}.router.v3.Router", suppress_envoy_headers=True
    )


# --- what the client hears --------------------------------------------------------------------


def _local_replies() -> Json:
    """Reply in the form that AWS SDKs turn into an exception with our message."""
    return {"mappers": [_unsigned_reply(), *(_reply(code) for code in _REPLIES)]}


def _unsigned_reply() -> Json:
    expression = "response.code_details.startsWith('rbac_access_denied')"
    denied = named(
        "envoy.access_loggers.extension_filters.cel",
        "extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        expression=expression,
    )
    mapper = _mapper("ServiceUnavailableException", _NO_CREDENTIALS, {"extension_filter": denied})
    return mapper | {"status_code": 503}


def _reply(code: int) -> Json:
    equal = {"op": "EQ", "value": {"default_value": code, "runtime_key": f"ringfence.{code}"}}
    return _mapper(*_REPLIES[code], {"status_code_filter": {"comparison": equal}})


def _mapper(name: str, message: str, only: Json) -> Json:
    header = {"header": {"key": "x-amzn-errortype", "value": name}}
    body = {"json_format": {"__type": name, "message": message}}
    return {"filter": only, "headers_to_add": [header], "body_format_override": body}


# --- where it goes ----------------------------------------------------------------------------


def clusters(identity: Identity, paths: Paths, resolver: str) -> list[Json]:
    """Return the ways to Bedrock, whose certificate is checked here, and to STS."""
    region = identity.region
    models = _cluster(_BEDROCK, bedrock.runtime_host(region), resolver)
    tls = named(
        "envoy.transport_sockets.tls",
        "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        sni=bedrock.runtime_host(region),
        common_tls_context=_tls(bedrock.runtime_host(region), paths),
    )
    sts = _cluster(_STS, bedrock.sts_host(region), resolver)
    return [models | {"transport_socket": tls}, sts]


def _cluster(name: str, host: str, resolver: str) -> Json:
    address = {"socket_address": {"address": host, "port_value": 443}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {
        "name": name,
        "type": "LOGICAL_DNS",
        "connect_timeout": seconds(CONNECT_SECONDS),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "dns_lookup_family": "V4_ONLY",
        "typed_dns_resolver_config": dns_resolver(resolver),
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def _tls(host: str, paths: Paths) -> Json:
    name = {"san_type": "DNS", "matcher": {"exact": host}}
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "alpn_protocols": ["http/1.1"],
        "validation_context": {
            "trusted_ca": {"filename": paths.trusted},
            "match_typed_subject_alt_names": [name],
        },
    }


def sts_socket(paths: Paths) -> Json:
    """Return the socket through which credentials are fetched, TLS from end to end."""
    log = access_log("sts", address="%UPSTREAM_REMOTE_ADDRESS%")
    splice = named(
        "envoy.filters.network.tcp_proxy",
        "extensions.filters.network.tcp_proxy.v3.TcpProxy",
        stat_prefix="sts",
        cluster=_STS,
        idle_timeout=seconds(IDLE_SECONDS),
        access_log=[log],
    )
    return {
        "name": _STS,
        "address": {"pipe": {"path": paths.socket, "mode": 0o600}},
        "ignore_global_conn_limit": True,  # however many connections the agent holds open
        "filter_chains": [{"filters": [splice]}],
    }
