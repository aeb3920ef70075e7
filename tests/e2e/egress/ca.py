"""The test certificate authority, made once per machine and kept in the cache directory.

Its certificate is baked into the sandbox image of the tests, so it is reused while it is valid.
It must never sign anything outside the tests: the key stays in the cache, mode 0600.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CACHE = Path.home() / ".cache" / "ringfence"
_DIRECTORY = CACHE / "testca"
_LIFETIME = timedelta(days=365)
_MARGIN = timedelta(days=30)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _builder(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
    )


def _key_usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _make(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder("ringfence test CA", key)
        .issuer_name(_name("ringfence test CA"))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_ca=True), critical=True)
        .add_extension(subject_key, critical=False)
        .sign(key, SHA256())
    )
    (directory / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (directory / "ca.key").touch(mode=0o600)
    (directory / "ca.key").write_bytes(_pem(key))


def _usable() -> bool:
    try:
        certificate = x509.load_pem_x509_certificate((_DIRECTORY / "ca.pem").read_bytes())
    except FileNotFoundError:
        return False
    return datetime.now(UTC) + _MARGIN < certificate.not_valid_after_utc


def ca() -> Path:
    """Return the CA certificate's path, making the CA first when there is none.

    The directory appears by one rename: whoever comes second uses the first one's CA.
    """
    if not _usable():
        _DIRECTORY.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(_DIRECTORY, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(dir=_DIRECTORY.parent, prefix=".testca-"))
        _make(fresh)
        try:
            fresh.rename(_DIRECTORY)
        except OSError:
            shutil.rmtree(fresh)
    return _DIRECTORY / "ca.pem"


def _ca_key() -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key((_DIRECTORY / "ca.key").read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        msg = f"{_DIRECTORY / 'ca.key'} is not an elliptic-curve key; delete {_DIRECTORY}"
        raise TypeError(msg)
    return key


def issue(names: Sequence[str], directory: Path) -> tuple[Path, Path]:
    """Write a server certificate of the test CA for these names; return (certificate, key)."""
    issuer = x509.load_pem_x509_certificate(ca().read_bytes())
    key, ca_key = ec.generate_private_key(ec.SECP256R1()), _ca_key()
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    certificate = (
        _builder(names[0], key)
        .issuer_name(issuer.subject)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_key_usage(is_ca=False), critical=True)
        .add_extension(authority_key, critical=False)
        .sign(ca_key, SHA256())
    )
    paths = directory / "server.pem", directory / "server.key"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    os.close(os.open(paths[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    paths[1].write_bytes(_pem(key))
    return paths
