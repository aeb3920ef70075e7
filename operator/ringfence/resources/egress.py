"""Egress rules of a Sandbox and the files of its Envoy egress proxy, as pure functions.

This is where a name that a user wrote becomes a rule that the proxy enforces, so names are parsed
strictly here. It must not read a cluster, resolve a name or know about Pods; what Envoy's
resources look like is in `envoy.py`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from ringfence.resources import envoy, envoy_common, envoy_refusal, envoy_tunnel

CONFIG_DIRECTORY = "/etc/envoy"
PROXY_ADDRESS = envoy_common.PROXY_ADDRESS
PROXY_PORT = envoy_common.PROXY_PORT

MAX_NAME = 253
MAX_PORT = 65535
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_FORBIDDEN = {
    "\0": "a NUL byte",
    "@": "user information",
    "[": "an IP literal",
    "/": "a path or URL",
    ":": "a port or an IP literal (ports have a field of their own)",
}


@dataclass(frozen=True, slots=True)
class EgressRule:
    """One entry of the allowlist: a host name or `*.suffix`, and the TLS ports open on it."""

    host: str
    ports: tuple[int, ...] = (443,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "host", parse_host(self.host))
        if not self.ports or not all(1 <= port <= MAX_PORT for port in self.ports):
            msg = f"egress rule for {self.host!r}: ports must be 1 to {MAX_PORT}, not {self.ports}"
            raise ValueError(msg)


def _refuse(text: str, why: str) -> ValueError:
    return ValueError(f"egress host {text[:80]!r}: {why}")


def _check_characters(text: str) -> None:
    for character, what in _FORBIDDEN.items():
        if character in text:
            raise _refuse(text, f"contains {what}; give a plain host name such as 'a.example.org'")
    if not text.isascii():
        raise _refuse(text, "not ASCII; write international names in their 'xn--' form")


def _check_a_label(text: str, label: str) -> None:
    encoded = label.removeprefix("xn--")
    try:
        decoded = encoded.encode().decode("punycode")
        canonical = not decoded.isascii() and decoded.encode("punycode").decode() == encoded
    except UnicodeError:
        canonical = False
    if not canonical:
        raise _refuse(text, f"label {label!r} is not a valid international ('xn--') label")


def _check_label(text: str, label: str) -> None:
    if not _LABEL.fullmatch(label):
        raise _refuse(
            text,
            f"label {label!r} must be 1 to 63 letters, digits or '-', and not begin or end with '-'"
            " (no trailing dot, '*' only as a leading '*.')",
        )
    if label.startswith("xn--"):
        _check_a_label(text, label)
    elif label[2:4] == "--":
        raise _refuse(text, f"label {label!r} has '--' in third place, which DNS reserves")


def parse_host(text: str) -> str:
    """Return the one canonical spelling of an allowed host name.

    Args:
        text: a fully qualified name, or `*.` followed by one (any name below it, not itself).

    Returns:
        The name in lower case.

    Raises:
        ValueError: the text is anything else, such as an address in any spelling; says why.
    """
    _check_characters(text)
    host = text.lower()
    if len(host) > MAX_NAME:
        raise _refuse(text, f"longer than {MAX_NAME} characters")
    labels = host.removeprefix("*.").split(".")
    for label in labels:
        _check_label(text, label)
    if _NUMBER.fullmatch(labels[-1]):
        raise _refuse(text, "an IP literal; only names can be allowed")
    if len(labels) == 1:
        raise _refuse(text, "needs at least two labels, such as 'example.org' or '*.example.org'")
    return host


def _hosts_by_port(allow: Sequence[EgressRule]) -> Mapping[int, list[str]]:
    """Allowed hosts of each port, both sorted: equal rules in any order give equal files."""
    pairs = sorted({(port, rule.host) for rule in allow for port in rule.ports})
    by_port: dict[int, list[str]] = {}
    for port, host in pairs:
        by_port.setdefault(port, []).append(host)
    return by_port


def envoy_files(
    allow: Sequence[EgressRule], *, resolver: str, directory: str = CONFIG_DIRECTORY
) -> dict[str, str]:
    """Return the proxy's configuration files, by file name.

    `envoy.yaml` never changes for a given resolver; the others follow the allowlist and are
    reloaded by a running proxy when the directory's content is swapped.

    Args:
        allow: what may be reached; nothing at all when empty.
        resolver: IP address of the only DNS server that the proxy asks, on port 53.
        directory: where the proxy finds these files.

    Returns:
        File name to YAML text, fit for the data of a ConfigMap.
    """
    by_port = _hosts_by_port(allow)
    inner = [envoy_refusal.listener(), *envoy_tunnel.listeners(by_port, resolver)]
    dialled = [envoy_refusal.cluster(), *envoy_tunnel.clusters(by_port, resolver)]
    documents = {
        "envoy.yaml": envoy.bootstrap(directory),
        "lds.yaml": envoy_common.resources([envoy.listener(directory), *inner]),
        "rds.yaml": envoy_common.resources([envoy.routes(by_port)]),
        "cds.yaml": envoy_common.resources(dialled),
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


def wait_args(seconds: int = 30) -> list[str]:
    """Return a command that ends once the proxy accepts connections, for a postStart hook.

    Accepting is enough: Envoy binds the port only after every configuration file has been read.
    A probe of the kubelet cannot do this, because the proxy listens on the Pod's loopback only.
    """
    tries = seconds * 20
    connect = f"(: </dev/tcp/{PROXY_ADDRESS}/{PROXY_PORT}) 2>/dev/null && exit 0"
    return [
        "bash",
        "-c",
        f"for ((i = 0; i < {tries}; i++)); do {connect}; sleep 0.05; done; exit 1",
    ]
