"""How fast the operator turns Sandboxes into Pod objects, and what it weighs with all of them.

On etcd and an API server alone: a scheduler, volume controllers and a kubelet would measure
themselves, on the same two cores. All Sandboxes are there before the operator is, so that nobody's
pace counts but its own.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import product
from bare_api_server import BareApiServer, bare_api_server
from ringfence.profiles.provider import Provider, profile_names

Json = dict[str, Any]
_NAMESPACE: Final = "many"
_PATIENCE_SECONDS: Final = 200.0
_REST_SECONDS: Final = 10.0
_PAGE: Final = f"/api/v1/namespaces/{_NAMESPACE}/pods?limit=1"
_ENVIRONMENT: Final = {
    "RINGFENCE_PROXY_IMAGE": "bench/proxy:1",
    "RINGFENCE_OPERATOR_IMAGE": "bench/operator:1",
    "RINGFENCE_RESOLVER": "10.96.0.10",
}


def measure(count: int) -> Json:
    """Sandboxes a second from the first Pod object to the last; memory before and after."""
    with tempfile.TemporaryDirectory() as directory, bare_api_server(Path(directory)) as server:
        _prepare(server, count)
        log = Path(directory) / "operator.log"
        with log.open("wb") as output, _operator(server, output) as operator:
            try:
                return _measured(server, operator, count)
            finally:
                operator.terminate()


def _operator(server: BareApiServer, output: Any) -> subprocess.Popen[bytes]:
    environment = os.environ | _ENVIRONMENT | {"KUBECONFIG": str(server.kubeconfig)}
    argv = [sys.executable, "-m", "ringfence.main"]
    return subprocess.Popen(argv, env=environment, stdout=output, stderr=output)


def _measured(server: BareApiServer, operator: subprocess.Popen[bytes], count: int) -> Json:
    first, begun = _wait(server, 1)
    before = _cpu_seconds(operator)
    last, ended = _wait(server, count)
    spent = _cpu_seconds(operator) - before
    time.sleep(_REST_SECONDS)
    return {
        "count": count,
        "sandboxes_per_second": round((last - first) / (ended - begun), 1),
        "operator_cpu_ms_per_sandbox": round(1000 * spent / (last - first), 1),
        "operator_rss_mib": _memory(operator),
    }


def _wait(server: BareApiServer, count: int) -> tuple[int, float]:
    """How many Pods there are once there are so many, and when."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        found = _pods(server)
        now = time.monotonic()
        if found >= count:
            return found, now
        if now > deadline:
            message = f"only {found} of {count} Pods within {_PATIENCE_SECONDS:.0f} s"
            raise TimeoutError(message)
        time.sleep(0.1)


def _pods(server: BareApiServer) -> int:
    page = json.loads(server.kubectl("get", "--raw", _PAGE))
    return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))


def _prepare(server: BareApiServer, count: int) -> None:
    for crd in sorted((product.REPOSITORY / "crds").glob("*.yaml")):
        server.kubectl("apply", "--server-side", "-f", str(crd))
    server.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    server.kubectl("create", "namespace", _NAMESPACE)
    _apply(server, _class(), _node())
    server.kubectl(
        *("patch", "sandboxnode", "bench", "--subresource=status", "--type=merge"),
        *("-p", json.dumps({"status": _node_status()})),
    )
    _apply(server, *(_sandbox(f"many-{number}") for number in range(count)))


def _apply(server: BareApiServer, *bodies: Json) -> None:
    manifest = {"apiVersion": "v1", "kind": "List", "items": list(bodies)}
    server.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def _class() -> Json:
    default = {"ringfence.dev/is-default-class": "true"}
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "SandboxClass",
        "metadata": {"name": "bench", "annotations": default},
        "spec": {"images": {"default": "bench/sandbox:1"}},
    }


def _node() -> Json:
    """What a node agent would say; without any the operator makes no Pod."""
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "SandboxNode",
        "metadata": {"name": "bench"},
    }


def _node_status() -> Json:
    return {
        "renewTime": "2026-01-01T00:00:00Z",
        "agentVersion": "bench",
        "cgroupVersion": 2,
        "seccompProfiles": [profile_names(Provider.BUILTIN).seccomp],
        "appArmor": {"enabled": False, "profiles": []},
        "conditions": [],
    }


def _sandbox(name: str) -> Json:
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "Sandbox",
        "metadata": {"name": name, "namespace": _NAMESPACE},
        "spec": {},
    }


def _cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _memory(process: subprocess.Popen[bytes]) -> float:
    """MiB of resident memory."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return round(int(line.split()[1]) / 1024, 1)
