"""Ways to reach the fake API server: a kubeconfig, or the files of a Pod's ServiceAccount."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubernetes.aio.config import incluster_config, kube_config


def write_kubeconfig(directory: Path, server: str) -> Path:
    path = directory / "kubeconfig"
    config = {
        "current-context": "fake",
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        "clusters": [{"name": "fake", "cluster": {"server": server}}],
        "users": [{"name": "fake", "user": {"token": "of-the-kubeconfig"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def use_kubeconfig(monkeypatch: pytest.MonkeyPatch, directory: Path, server: str) -> None:
    """As if KUBECONFIG had been set before the client library was imported."""
    path = write_kubeconfig(directory, server)
    monkeypatch.delenv(incluster_config.SERVICE_HOST_ENV_NAME, raising=False)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))


class ServiceAccountFiles(NamedTuple):
    """What kubelet mounts into a Pod."""

    token: Path
    certificate: Path

    def tls(self) -> ssl.SSLContext:
        """The server's side of the certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.certificate.with_suffix(".key"))
        return context

    def use(self, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        """Lets the client find them as if it ran in that Pod."""
        host, _, port = url.removeprefix("https://").partition(":")
        monkeypatch.setenv(incluster_config.SERVICE_HOST_ENV_NAME, host)
        monkeypatch.setenv(incluster_config.SERVICE_PORT_ENV_NAME, port)
        monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(self.token))
        monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(self.certificate))


def service_account(directory: Path) -> ServiceAccountFiles:
    """A token and a certificate for 127.0.0.1 that signs itself."""
    files = ServiceAccountFiles(directory / "token", directory / "ca.crt")
    files.token.write_text("first")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fake API server")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.certificate.with_suffix(".key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files
