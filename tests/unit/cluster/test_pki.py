"""Certificates of the cluster: who they speak for and which addresses they serve."""

from __future__ import annotations

import base64
import ssl
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from cluster import config, pki

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> config.Paths:
    state = tmp_path_factory.mktemp("state")
    made = config.Paths(state=state, cache=state / "cache")
    pki.create_all(made)
    return made


def _load(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_apiserver_certificate_serves_every_address_it_is_reached_at(paths: config.Paths) -> None:
    names = _load(paths.pki / "apiserver.crt").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert "kubernetes.default.svc" in names.value.get_values_for_type(x509.DNSName)
    wanted = {config.API_HOST_ADDRESS, config.CONTROL_ADDRESS, config.API_SERVICE_ADDRESS}
    served = set(names.value.get_values_for_type(x509.IPAddress))
    assert {ip_address(one) for one in wanted} <= served


def test_kubelet_speaks_as_its_node_so_that_node_restriction_applies(paths: config.Paths) -> None:
    subject = _load(paths.pki / "kubelet.crt").subject
    (user,) = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    (group,) = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert (user.value, group.value) == ("system:node:node-1", "system:nodes")


def test_only_admin_and_apiserver_are_masters() -> None:
    masters = {one.file for one in pki.IDENTITIES if "system:masters" in one.groups}
    assert masters == {"admin", "apiserver-kubelet-client"}


def test_every_certificate_is_signed_by_the_one_authority(paths: config.Paths) -> None:
    authority = _load(paths.pki / "ca.crt")
    for identity in pki.IDENTITIES:
        _load(paths.pki / f"{identity.file}.crt").verify_directly_issued_by(authority)


def test_private_keys_are_readable_by_root_only(paths: config.Paths) -> None:
    private = [*paths.pki.glob("*.key"), *paths.pki.glob("*.kubeconfig"), paths.kubeconfig]
    assert len(private) == len(pki.IDENTITIES) + 2 + 6 + 1
    assert {file.stat().st_mode & 0o777 for file in private} == {0o600}


def test_kubeconfig_of_the_host_holds_a_usable_certificate(paths: config.Paths) -> None:
    content = yaml.safe_load(paths.kubeconfig.read_text())
    cluster = content["clusters"][0]["cluster"]
    assert cluster["server"] == f"https://{config.API_HOST_ADDRESS}:{config.API_PORT}"
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    assert ssl.create_default_context(cadata=authority).get_ca_certs()
