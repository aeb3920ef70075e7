"""Plain Pods for tests of the cluster itself, commands in them, and a server to reach."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from cluster import config
from cluster.shell import run, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster import Cluster

PORT = 8081
# Answers everything with 501, which is an answer. HTTPServer itself would look up
# its name first, and wait for a resolver that its namespace does not have.
SERVER = """
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
TCPServer.allow_reuse_address = True
TCPServer(("{address}", {port}), BaseHTTPRequestHandler).serve_forever()
"""
DENY_ALL = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny-all"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}


_LABEL = "pod-security.kubernetes.io/enforce=restricted"


@contextlib.contextmanager
def fresh_namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of a new name in which Pod Security *restricted* is enforced."""
    name = f"test-{uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, _LABEL)
    yield name
    # Not waited for: names are never used twice, and the next test may start meanwhile.
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def pod(name: str, **changes: Any) -> dict[str, Any]:
    """A Pod that passes *restricted*, sleeping in busybox."""
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 30000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "main",
        "image": config.BUSYBOX_IMAGE,
        "command": ["sleep", "infinity"],
        "securityContext": security | changes.pop("security", {}),
    }
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container], **changes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def start(cluster: Cluster, namespace: str, *objects: dict[str, Any], seconds: int = 60) -> None:
    """Create objects and wait for the Pods among them."""
    bundle = {"apiVersion": "v1", "kind": "List", "items": objects}
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(bundle))
    names = [f"pod/{one['metadata']['name']}" for one in objects if one["kind"] == "Pod"]
    cluster.kubectl(
        "wait", "-n", namespace, "--for=condition=Ready", f"--timeout={seconds}s", *names
    )


def sh(cluster: Cluster, namespace: str, script: str, name: str = "one") -> str:
    """Run a shell script in a Pod."""
    return cluster.kubectl("exec", "-n", namespace, name, "--", "sh", "-c", script)


def reaches(cluster: Cluster, namespace: str, url: str, seconds: int = 1) -> bool:
    """Whether Pod `one` gets an answer from a server, be it an error."""
    answer = sh(cluster, namespace, f"wget -T {seconds} -O /dev/null {url} 2>&1 || true")
    return "100%" in answer or "HTTP/1" in answer


@contextlib.contextmanager
def serving(prefix: list[str], address: str) -> Iterator[str]:
    """A web server as long as the block runs; the prefix puts it into a namespace."""
    program = SERVER.format(address=address, port=PORT)
    with subprocess.Popen(
        [*prefix, sys.executable, "-c", program],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            script = f": </dev/tcp/{address}/{PORT}"
            check = [*prefix, "bash", "-c", script]
            wait_until("server", lambda: run(*check, check=False).returncode == 0, 10)
            yield f"http://{address}:{PORT}/"
        finally:
            server.kill()
