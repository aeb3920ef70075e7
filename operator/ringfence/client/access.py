"""Which cluster, and as whom: finds the kubeconfig or the Pod's own account, and connects. I/O."""

import json
import os
import socket
import ssl
from typing import Any, Final, NamedTuple

from ringfence import __version__
from ringfence.client.credentials import Credentials, content, credentials
from ringfence.client.kubeconfig import Chosen, Unusable, choose, files, merge
from ringfence.client.proxies import proxy_for, tunnel
from ringfence.client.urls import for_the_wire, server
from ringfence.kinds import ApiError

Json = dict[str, Any]

CONNECT_SECONDS: Final = 20.0
_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"


class Access(NamedTuple):
    """How to reach one API server.

    Attributes:
        host: Its host name or address.
        port: Its port.
        prefix: URL path before every other, for clusters behind a gateway.
        headers: What every request carries.
        namespace: Where objects are looked for if nobody says.
        tls: None for plain HTTP.
        server_name: Name that its certificate must have.
        proxy: URL of an HTTP proxy, or empty.
    """

    host: str
    port: int
    prefix: str
    headers: dict[str, str]
    namespace: str
    tls: ssl.SSLContext | None
    server_name: str
    proxy: str

    def connect(self) -> socket.socket:
        """A new connection.

        Raises:
            ApiError: Nobody answers, or not with a certificate that is trusted.
        """
        try:
            return self._connect()
        except OSError as error:
            message = f"the API server at {self.host}:{self.port} cannot be reached: {error}"
            raise ApiError(0, "Unreachable", message) from error

    def _connect(self) -> socket.socket:
        if self.proxy:
            raw = tunnel(self.proxy, self.host, self.port, CONNECT_SECONDS)
        else:
            address = (for_the_wire(self.host), self.port)
            raw = socket.create_connection(address, CONNECT_SECONDS)  # type: ignore[arg-type]
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is None:
            return raw
        return self.tls.wrap_socket(raw, server_hostname=for_the_wire(self.server_name))


def access(kubeconfig: str | None = None, context: str | None = None) -> Access:
    """Access as kubectl would have it: the given kubeconfig, the usual ones, the Pod's account.

    Raises:
        ApiError: There is no cluster to talk to; says why.
    """
    try:
        documents = _documents(kubeconfig)
        if (
            not documents
            and not kubeconfig
            and not context
            and "KUBERNETES_SERVICE_HOST" in os.environ
        ):
            return _in_cluster()
        return _resolved(choose(merge(documents), context))
    except Unusable as error:
        hint = "name a kubeconfig with --kubeconfig or KUBECONFIG"
        message = f"no cluster to talk to: {error} ({hint})"
        raise ApiError(0, "NoAccess", message) from error


def _documents(kubeconfig: str | None) -> list[tuple[str, Json]]:
    candidates = files(kubeconfig, os.environ, os.path.expanduser("~"))
    found = [path for path in candidates if kubeconfig or os.path.exists(path)]
    return [(os.path.dirname(os.path.abspath(path)), _parsed(path)) for path in found]


def _parsed(path: str) -> Json:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise Unusable(str(error)) from error
    try:
        parsed = json.loads(text) if text.lstrip().startswith("{") else _yaml(text)
    except ValueError as error:
        message = f"{path}: {error}"
        raise Unusable(message) from error
    if not isinstance(parsed, dict):
        message = f"{path} is no kubeconfig"
        raise Unusable(message)
    return parsed


def _yaml(text: str) -> Any:
    import yaml  # noqa: PLC0415 - a tenth of the time of a whole command

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, loader)  # noqa: S506 - it is a safe loader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _resolved(chosen: Chosen) -> Access:
    try:
        url = server(chosen.cluster["server"])
    except ValueError as error:
        raise Unusable(str(error)) from error
    who = credentials(chosen.user, chosen.cluster, os.environ)
    return Access(
        host=url.host,
        port=url.port,
        prefix=url.path,
        headers={"User-Agent": f"ringfence/{__version__}", **who.headers},
        namespace=chosen.namespace,
        tls=_tls(chosen.cluster, who) if url.secure else None,
        server_name=chosen.cluster.get("tls-server-name") or url.host,
        proxy=chosen.cluster.get("proxy-url")
        or proxy_for("https" if url.secure else "http", url.host),
    )


def _in_cluster() -> Access:
    """As the kubelet tells every container."""
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    cluster = {
        "server": f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        "certificate-authority": f"{_ACCOUNT}/ca.crt",
    }
    try:
        with open(f"{_ACCOUNT}/namespace", encoding="utf-8") as file:
            namespace = file.read().strip()
    except OSError as error:
        message = f"this Pod has no ServiceAccount token: {error}"
        raise Unusable(message) from error
    return _resolved(Chosen(cluster, {"tokenFile": f"{_ACCOUNT}/token"}, namespace))


def _tls(cluster: Json, who: Credentials) -> ssl.SSLContext:
    authority = content(cluster, "certificate-authority").decode()
    try:
        context = ssl.create_default_context(cadata=authority or None)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if who.certificate:
            _load(context, who)
    except ssl.SSLError as error:
        message = f"a certificate of the kubeconfig does not read: {error}"
        raise Unusable(message) from error
    return context


def _load(context: ssl.SSLContext, who: Credentials) -> None:
    """Python reads certificates from files only; this one is in memory where the system can."""
    pem = who.certificate + b"\n" + who.key
    if not hasattr(os, "memfd_create"):
        import tempfile  # noqa: PLC0415 - not on Linux

        with tempfile.NamedTemporaryFile(prefix="ringfence-") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(file.name)
        return
    with os.fdopen(os.memfd_create("ringfence"), "wb") as memory:
        memory.write(pem)
        memory.flush()
        context.load_cert_chain(f"/proc/self/fd/{memory.fileno()}")
