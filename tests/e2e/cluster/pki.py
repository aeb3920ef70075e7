"""Keys and certificates of the cluster, made afresh for every cluster.

One CA signs everything; nothing here is kept after `down`.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster import config

if TYPE_CHECKING:
    from pathlib import Path

LIFETIME = dt.timedelta(days=365)


@dataclass(frozen=True)
class Identity:
    """Who a certificate speaks for and which addresses it serves."""

    file: str
    user: str
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


IDENTITIES = (
    Identity(
        "apiserver",
        "kube-apiserver",
        names=(
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ),
        addresses=(
            config.API_HOST_ADDRESS,
            config.CONTROL_ADDRESS,
            config.API_SERVICE_ADDRESS,
            "127.0.0.1",
        ),
    ),
    Identity("apiserver-kubelet-client", "kube-apiserver-kubelet-client", ("system:masters",)),
    Identity("admin", "ringfence-admin", ("system:masters",)),
    Identity("controller-manager", "system:kube-controller-manager"),
    Identity("scheduler", "system:kube-scheduler"),
    Identity("ringfence-volumes", "ringfence-volumes"),
    Identity("kube-proxy", "system:kube-proxy"),
    Identity("kube-router", "system:kube-router"),
    Identity(
        "kubelet",
        f"system:node:{config.NODE_NAME}",
        ("system:nodes",),
        names=(config.NODE_NAME,),
        addresses=(config.NODE_ADDRESS,),
    ),
    Identity(
        "kubelet-2",
        f"system:node:{config.NODE_2_NAME}",
        ("system:nodes",),
        names=(config.NODE_2_NAME,),
        addresses=(config.NODE_2_ADDRESS,),
    ),
)

# Users that speak to the API server, and the address each of them reaches it at.
_API_USERS = (
    "controller-manager",
    "scheduler",
    "kube-proxy",
    "kube-router",
    "kubelet",
    "kubelet-2",
)


@dataclass(frozen=True)
class Authority:
    """A certificate authority that can sign."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def create_all(paths: config.Paths) -> None:
    """Write every key, certificate and kubeconfig of a new cluster."""
    paths.pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _new_authority("ringfence-cluster-ca")
    _write_certificate(paths.pki / "ca.crt", authority.certificate)
    # The aggregation layer insists on an authority of its own; nothing is signed by it.
    front_proxy = _new_authority("ringfence-cluster-front-proxy-ca")
    _write_certificate(paths.pki / "front-proxy-ca.crt", front_proxy.certificate)
    _write_key(paths.pki / "ca.key", authority.key)
    for identity in IDENTITIES:
        key = ec.generate_private_key(ec.SECP256R1())
        _write_key(paths.pki / f"{identity.file}.key", key)
        certificate = issue(authority, identity, key.public_key())
        _write_certificate(paths.pki / f"{identity.file}.crt", certificate)
    _write_service_account_key(paths.pki)
    _write_kubeconfigs(paths)


def issue(
    authority: Authority, identity: Identity, public_key: ec.EllipticCurvePublicKey
) -> x509.Certificate:
    """A certificate for client and server use."""
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = (
        _builder(_subject(identity), authority.certificate.subject, public_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )
    if san := _alternative_names(identity):
        builder = builder.add_extension(x509.SubjectAlternativeName(san), critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def _new_authority(name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, certificate)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
    )


def _subject(identity: Identity) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in identity.groups]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, identity.user)])


def _alternative_names(identity: Identity) -> list[x509.GeneralName]:
    addresses = [x509.IPAddress(ipaddress.ip_address(one)) for one in identity.addresses]
    return [*(x509.DNSName(name) for name in identity.names), *addresses]


def _write_certificate(file: Path, certificate: x509.Certificate) -> None:
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    file.touch(mode=0o600)
    file.write_bytes(pem)


def _write_service_account_key(pki: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    _write_key(pki / "service-account.key", key)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (pki / "service-account.pub").write_bytes(public)


def _write_kubeconfigs(paths: config.Paths) -> None:
    for user in _API_USERS:
        target = paths.kubeconfig_of(user)
        _write_private(target, kubeconfig(paths.pki, user, config.CONTROL_ADDRESS))
    _write_private(paths.kubeconfig, kubeconfig(paths.pki, "admin", config.API_HOST_ADDRESS))


def _write_private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text)


def kubeconfig(pki: Path, user: str, server: str) -> str:
    """A kubeconfig that holds its certificates itself, so it works in any mount namespace."""

    def data(name: str) -> str:
        return b64encode((pki / name).read_bytes()).decode()

    cluster = {
        "server": f"https://{server}:{config.API_PORT}",
        "certificate-authority-data": data("ca.crt"),
    }
    credentials = {
        "client-certificate-data": data(f"{user}.crt"),
        "client-key-data": data(f"{user}.key"),
    }
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "ringfence", "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "ringfence", "context": {"cluster": "ringfence", "user": user}}],
            "current-context": "ringfence",
        }
    )
