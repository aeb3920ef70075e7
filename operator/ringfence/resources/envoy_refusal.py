"""How the egress proxy says no, so that the user of a Sandbox sees why.

The clients people use drop the body of a refused CONNECT and print its status line alone. Envoy's
own replies have a fixed one, so refused CONNECTs go to an internal listener that answers with our
words. It must not decide what is refused: that is the order of routes in `envoy.py`.
"""

from ringfence.resources.envoy_common import Json, internal_cluster, internal_listener, named, typed

_NAME = "refused"
_REASON = "Not on this Sandbox's egress allowlist (spec.egress.allow)"
_HOST = "host %REQ(:AUTHORITY):300%"
_NOT_LISTED = f"{_HOST} is not on this Sandbox's egress allowlist (spec.egress.allow)"
_BODY = "This host and port are not on this Sandbox's egress allowlist (spec.egress.allow).\n"
_NOT_TUNNEL = (
    "cannot be reached by plain HTTP: only HTTPS, through CONNECT, to a host on this Sandbox's"
    " egress allowlist (spec.egress.allow)"
)


def refusals() -> list[Json]:
    """Return the last routes of a virtual host: whatever no route before them took is refused."""
    header = {"header": {"key": "x-ringfence-refused", "value": _NOT_LISTED}}
    connect = {
        "match": {"connect_matcher": {}},
        "route": {"cluster": _NAME, "upgrade_configs": [{"upgrade_type": "CONNECT"}]},
        "response_headers_to_add": [header],
    }
    reply = {"status": 403, "body": {"inline_string": _NOT_TUNNEL}}
    return [connect, {"match": {"prefix": "/"}, "direct_response": reply}]


def local_reply() -> Json:
    """Put the host before the message of a reply that Envoy itself gives."""
    refused = {"op": "EQ", "value": {"default_value": 403, "runtime_key": "ringfence.refused"}}
    text = f"{_HOST} %LOCAL_REPLY_BODY%\n"
    mapper = {
        "filter": {"status_code_filter": {"comparison": refused}},
        "body_format_override": {"text_format_source": {"inline_string": text}},
    }
    return {"mappers": [mapper]}


def listener() -> Json:
    """Return the internal listener that answers every connection with the same refusal."""
    head = [
        f"HTTP/1.1 403 {_REASON}",
        "content-type: text/plain",
        f"content-length: {len(_BODY)}",
        "connection: close",
    ]
    reply = named(
        "envoy.filters.network.direct_response",
        "extensions.filters.network.direct_response.v3.Config",
        response={"inline_string": "\r\n".join([*head, "", _BODY])},
    )
    return internal_listener(_NAME, filter_chains=[{"filters": [reply]}])


def cluster() -> Json:
    """Return the way to that listener; it passes the status line on as it is."""
    formatter = named(
        "preserve_case",
        "extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
        forward_reason_phrase=True,
    )
    protocol = {"header_key_format": {"stateful_formatter": formatter}}
    options = typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config={"http_protocol_options": protocol},
    )
    key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return internal_cluster(_NAME, typed_extension_protocol_options={key: options})
