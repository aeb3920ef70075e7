"""The control plane's components and their command lines, and the provisioner of volumes.

Pure: paths in, argv out. Who starts and supervises them is `embedded.py`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster import config

if TYPE_CHECKING:
    from cluster.config import Paths


@dataclass(frozen=True)
class Component:
    """One supervised process: its name, where it runs and its command line."""

    name: str
    argv: tuple[str, ...]
    on_node: bool = False


def components(paths: Paths) -> tuple[Component, ...]:
    """The processes of the control plane in their order of start."""
    return (
        _etcd(paths),
        _apiserver(paths),
        _controller_manager(paths),
        _scheduler(paths),
        _volumes(paths),
    )


def _kube(paths: Paths, name: str, program: str, *flags: str) -> Component:
    return Component(name, (str(paths.bin / "kube"), program, *flags))


def _etcd(paths: Paths) -> Component:
    return _kube(
        paths,
        "etcd",
        "etcd",
        f"--data-dir={paths.state / 'etcd'}",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",  # a test cluster is thrown away, not recovered
        "--log-level=warn",
    )


def _apiserver(paths: Paths) -> Component:
    pki = paths.pki
    return _kube(
        paths,
        "apiserver",
        "kube-apiserver",
        f"--advertise-address={config.CONTROL_ADDRESS}",
        f"--secure-port={config.API_PORT}",
        "--etcd-servers=http://127.0.0.1:2379",
        "--anonymous-auth=false",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'service-account.pub'}",
        f"--service-account-signing-key-file={pki / 'service-account.key'}",
        f"--service-cluster-ip-range={config.SERVICE_CIDR}",
        "--allow-privileged=true",
        f"--audit-policy-file={config.SOURCES / 'data' / 'audit-policy.yaml'}",
        f"--audit-log-path={paths.audit_log}",
        "--audit-log-maxsize=1000",  # MB; tests read the whole file
    )


def _controller_manager(paths: Paths) -> Component:
    kubeconfig = paths.kubeconfig_of("controller-manager")
    return _kube(
        paths,
        "controller-manager",
        "kube-controller-manager",
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={paths.pki / 'service-account.key'}",
        f"--root-ca-file={paths.pki / 'ca.crt'}",
        f"--cluster-signing-cert-file={paths.pki / 'ca.crt'}",
        f"--cluster-signing-key-file={paths.pki / 'ca.key'}",
        f"--cluster-cidr={config.POD_CIDR}",
        "--allocate-node-cidrs=false",  # each node's range is fixed, its CNI needs it early
    )


def _scheduler(paths: Paths) -> Component:
    kubeconfig = paths.kubeconfig_of("scheduler")
    return _kube(
        paths,
        "scheduler",
        "kube-scheduler",
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--leader-elect=false",
    )


def _volumes(paths: Paths) -> Component:
    """It enters the node for each mount."""
    program = (sys.executable, "-m", "cluster.volumes", str(paths.state))
    return Component("volumes", ("env", f"PYTHONPATH={config.SOURCES.parent}", *program))
