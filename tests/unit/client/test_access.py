"""From a kubeconfig to an API server: credentials, TLS, proxies, the Pod's own account."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from api_access import service_account
from ringfence.client import access as access_module
from ringfence.client.access import access
from ringfence.client.credentials import credentials
from ringfence.client.kubeconfig import Unusable
from ringfence.client.rest import Rest
from ringfence.kinds import SANDBOX, ApiError


class Server(HTTPServer):
    """Answers with what it was asked, and plays a proxy that leads to itself."""

    seen: list[tuple[str, str, dict[str, str]]]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        body = json.dumps({"metadata": {"name": "x"}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        self.send_response(403 if "refused" in self.path else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silence."""


@contextmanager
def served(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.seen = []
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write(directory: Path, cluster: dict[str, Any], user: dict[str, Any]) -> str:
    path = directory / "config"
    content = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)


def asked(path: str) -> None:
    with Rest(access(path)) as rest:
        assert rest.get(SANDBOX, "n", "x") == {"metadata": {"name": "x"}}


def test_token_impersonation_and_path_before_all_paths_are_sent(tmp_path: Path) -> None:
    with served() as server:
        url = f"http://127.0.0.1:{server.server_port}/clusters/c-1/"
        user = {"token": "secret", "as": "jane", "as-groups": ["ops"], "as-uid": "7"}
        asked(write(tmp_path, {"server": url}, user))
        _, path, headers = server.seen[0]
    assert path == "/clusters/c-1/apis/ringfence.dev/v1alpha1/namespaces/n/sandboxes/x"
    assert headers["Authorization"] == "Bearer secret"
    assert (headers["Impersonate-User"], headers["Impersonate-Group"]) == ("jane", "ops")
    assert headers["Impersonate-Uid"] == "7"
    assert headers["User-Agent"].startswith("ringfence/")


def test_certificates_are_checked_and_ours_is_shown(tmp_path: Path) -> None:
    files = service_account(tmp_path)
    tls = files.tls()
    tls.load_verify_locations(files.certificate)
    tls.verify_mode = ssl.CERT_REQUIRED
    key = files.certificate.with_suffix(".key").read_bytes()
    user = {
        "client-certificate": str(files.certificate),
        "client-key-data": base64.b64encode(key).decode(),
    }
    with served(tls) as server:
        cluster = {"server": f"https://127.0.0.1:{server.server_port}"}
        asked(write(tmp_path, cluster | {"certificate-authority": str(files.certificate)}, user))
        asked(write(tmp_path, cluster | {"insecure-skip-tls-verify": True}, user))
        with pytest.raises(ApiError, match="certificate verify failed"):
            asked(write(tmp_path, cluster, user))
        other = {"certificate-authority": str(files.certificate), "tls-server-name": "other"}
        with pytest.raises(ApiError, match="not valid for 'other'"):
            asked(write(tmp_path, cluster | other, user))


def test_proxy_of_the_kubeconfig_or_the_environment_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served() as server:
        address = f"127.0.0.1:{server.server_port}"
        proxied = {"server": "http://[fd00::1]:6443", "proxy-url": f"http://user:p%40ss@{address}"}
        asked(write(tmp_path, proxied, {}))
        monkeypatch.setenv("HTTP_PROXY", f"http://{address}")
        monkeypatch.setenv("NO_PROXY", "localhost")
        monkeypatch.delenv("http_proxy", raising=False)
        asked(write(tmp_path, {"server": "http://api.example"}, {}))
        seen = server.seen
    assert [(method, path) for method, path, _ in seen if method == "CONNECT"] == [
        ("CONNECT", "[fd00::1]:6443"),
        ("CONNECT", "api.example:80"),
    ]
    basic = base64.b64encode(b"user:p@ss").decode()
    assert seen[0][2]["Proxy-Authorization"] == f"Basic {basic}"


def test_proxy_that_refuses_and_proxies_of_other_kinds_are_told(tmp_path: Path) -> None:
    with served() as server:
        proxy = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(ApiError, match=r"the proxy says: HTTP/1\.1 403"):
            asked(write(tmp_path, {"server": "http://refused", "proxy-url": proxy}, {}))
    with pytest.raises(ApiError, match="only http:// proxies"):
        asked(write(tmp_path, {"server": "http://a", "proxy-url": "socks5://b:1"}, {}))


def plugin(directory: Path, answer: str) -> dict[str, Any]:
    program = directory / "plugin"
    program.write_text(
        f"#!/bin/sh\nprintf '%s' \"$KUBERNETES_EXEC_INFO\" > {directory}/info\n{answer}\n"
    )
    program.chmod(0o755)
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(program),
        "args": ["get-token"],
        "env": [{"name": "WHO", "value": "me"}],
        "provideClusterInfo": True,
        "installHint": "install the plugin",
    }


def test_credential_program_is_run_and_told_which_cluster(tmp_path: Path) -> None:
    entry = plugin(tmp_path, """printf '{"status": {"token": "%s-%s"}}' $WHO $1""")
    found = credentials({"exec": entry}, {"server": "https://a"}, {"PATH": "/usr/bin:/bin"})
    assert found.headers == {"Authorization": "Bearer me-get-token"}
    info = json.loads((tmp_path / "info").read_text())
    assert info["kind"] == "ExecCredential"
    assert info["spec"]["cluster"]["server"] == "https://a"


def test_credential_program_may_answer_with_a_certificate(tmp_path: Path) -> None:
    status = '{"status": {"clientCertificateData": "CERT", "clientKeyData": "KEY"}}'
    entry = plugin(tmp_path, f"printf '{status}'")
    found = credentials({"exec": entry}, {"server": "https://a"}, {})
    assert (found.certificate, found.key) == (b"CERT", b"KEY")


@pytest.mark.parametrize("answer", ["exit 1", "echo nonsense"])
def test_credential_program_that_fails_is_told_with_its_hint(tmp_path: Path, answer: str) -> None:
    entry = plugin(tmp_path, answer)
    with pytest.raises(Unusable, match=r"credential program .*; install the plugin"):
        credentials({"exec": entry}, {"server": "https://a"}, {})


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ({"auth-provider": {"name": "gcp"}}, "auth-provider is not supported"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1"}}, "exec plugin speaks"),
        ({"as": "a", "as-groups": ["b", "c"]}, "several groups"),
        ({"tokenFile": "/none/token"}, "tokenFile: "),
        ({"client-certificate-data": "!"}, "client-certificate: "),
    ],
)
def test_what_is_not_supported_or_missing_is_told(user: dict[str, Any], said: str) -> None:
    with pytest.raises(Unusable, match=said):
        credentials(user, {"server": "https://a"}, {})


def test_name_and_password_and_token_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-the-file\n")
    user = {"tokenFile": str(tmp_path / "token"), "token": "other"}
    assert credentials(user, {}, {}).headers == {"Authorization": "Bearer of-the-file"}
    basic = base64.b64encode(b"a:b").decode()
    found = credentials({"username": "a", "password": "b"}, {}, {})
    assert found.headers == {"Authorization": f"Basic {basic}"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a list", "is no kubeconfig"),
        ("{", "config: "),
        ("a: [", "config: "),
        ("current-context: a", "no context 'a'"),
    ],
)
def test_file_that_is_none_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ApiError, match="no cluster to talk to") as caught:
        access(str(path))
    assert said in str(caught.value)


def test_missing_file_that_was_named_is_told(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="No such file"):
        access(str(tmp_path / "none"))


@pytest.mark.parametrize("server", ["ftp://a", "a", "https://", "https://u@a", "https://a:b"])
def test_server_that_is_no_address_is_told(tmp_path: Path, server: str) -> None:
    with pytest.raises(ApiError, match="is no http or https address"):
        access(write(tmp_path, {"server": server}, {}))


def test_inside_a_pod_its_own_account_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = service_account(tmp_path)
    (tmp_path / "namespace").write_text("mine")
    monkeypatch.setattr(access_module, "_ACCOUNT", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with served(files.tls()) as server:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server_port))
        found = access()
        with Rest(found) as rest:
            assert rest.get(SANDBOX, "mine", "x")
        assert server.seen[0][2]["Authorization"] == "Bearer first"
    assert found.namespace == "mine"


def test_without_anything_there_is_no_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ApiError, match="no context is current"):
        access()


def test_nobody_there_is_an_api_error(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match=r"127\.0\.0\.1:1 cannot be reached"):
        asked(write(tmp_path, {"server": "http://127.0.0.1:1"}, {}))
