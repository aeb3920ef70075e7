"""Egress rules of a Sandbox and the files of its Envoy egress proxy, as pure functions.

It must not read a cluster, resolve a name or know about Pods; what Envoy's resources look like is
in `envoy.py`, and which names are allowed in the first place in `hosts.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import yaml

from ringfence.api import EgressRule
from ringfence.policy import Identity
from ringfence.resources import envoy, envoy_bedrock, envoy_common, envoy_refusal, envoy_tunnel
from ringfence.resources.envoy_common import Json

CONFIG_DIRECTORY = "/etc/envoy"
PROXY_ADDRESS = envoy_common.PROXY_ADDRESS
GATEWAY_ADDRESS = envoy_common.GATEWAY_ADDRESS
PROXY_PORT = envoy_common.PROXY_PORT
_PATHS: Final = envoy_bedrock.Paths()


def _hosts_by_port(allow: Sequence[EgressRule]) -> Mapping[int, list[str]]:
    """Allowed hosts of each port, both sorted: equal rules in any order give equal files."""
    pairs = sorted({(port, rule.host) for rule in allow for port in rule.ports})
    by_port: dict[int, list[str]] = {}
    for port, host in pairs:
        by_port.setdefault(port, []).append(host)
    return by_port


class _Aws(NamedTuple):
    clusters: list[Json]
    fixed: list[Json]
    """Listeners that only a new proxy changes."""
    listeners: list[Json]


def _aws(identity: Identity, paths: envoy_bedrock.Paths, resolver: str) -> _Aws:
    models, sts = envoy_bedrock.clusters(identity, paths, resolver)
    socket = envoy_bedrock.sts_socket(paths)
    if identity.mode == "Proxy":
        return _Aws([models, sts], [socket], [envoy_bedrock.listener(identity, paths)])
    return _Aws([sts], [socket], [])


def envoy_files(
    allow: Sequence[EgressRule],
    *,
    resolver: str,
    directory: str = CONFIG_DIRECTORY,
    listen: str = PROXY_ADDRESS,
    identity: Identity | None = None,
    paths: envoy_bedrock.Paths = _PATHS,
) -> dict[str, str]:
    """Return the proxy's configuration files, by file name.

    `envoy.yaml` never changes for a given resolver and region; the others follow the allowlist and
    the permitted models, and are reloaded by a running proxy when the directory's content is
    swapped.

    Args:
        allow: what may be reached; nothing at all when empty.
        resolver: IP address of the only DNS server that the proxy asks, on port 53.
        directory: where the proxy finds these files.
        listen: IP address that the proxy listens on: loopback as a sidecar, any as a gateway.
        identity: whose calls of Bedrock the proxy signs, or for whom it only leads to STS.
        paths: where the proxy finds credentials and certificate authorities.

    Returns:
        File name to YAML text, fit for the data of a ConfigMap.
    """
    by_port = _hosts_by_port(allow)
    inner = [envoy_refusal.listener(), *envoy_tunnel.listeners(by_port, resolver)]
    clusters = [envoy_refusal.cluster(), *envoy_tunnel.clusters(resolver)]
    aws = _aws(identity, paths, resolver) if identity else _Aws([], [], [])
    documents = {
        "envoy.yaml": envoy.bootstrap(directory, [*clusters, *aws.clusters], aws.fixed),
        "lds.yaml": envoy_common.resources(
            [envoy.listener(directory, listen), *inner, *aws.listeners]
        ),
        "rds.yaml": envoy_common.resources([envoy.routes(by_port)]),
    }
    return {name: yaml.safe_dump(body, sort_keys=False) for name, body in documents.items()}


def envoy_args(directory: str = CONFIG_DIRECTORY) -> list[str]:
    """Return the whole command line of the proxy container, `envoy` included.

    One worker thread and no hot restart keep memory small (and no shared-memory segment or
    abstract socket appears in the Pod). Tunnels of a host that leaves the allowlist are cut
    after the drain time.
    """
    return [
        "envoy",
        *("--config-path", f"{directory}/envoy.yaml"),
        *("--concurrency", "1"),
        "--disable-hot-restart",
        *("--drain-time-s", "1"),
        *("--drain-strategy", "immediate"),
        *("--log-level", "warning"),
        *("--file-flush-interval-msec", "500"),  # the access log; 10 s otherwise
    ]


def wait_args(*, limits: bool) -> list[str]:
    """Return a command that ends once the agent container may start, for a postStart hook.

    It waits for the proxy to accept connections and, with `limits`, for the node agent to have
    limited the number of processes.

    Accepting is enough: Envoy binds the port only after every configuration file has been read.
    A probe of the kubelet cannot do this, because the proxy listens on the Pod's loopback only.
    """
    return ["wait-for-proxy"] if limits else ["wait-for-proxy", "--without-limits"]
