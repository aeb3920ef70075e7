"""What end-to-end tests say over and over: create a Sandbox, wait, look, run a command in it.

Every wait polls with a deadline and fails with what was seen last.
"""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cluster import Cluster

Json = dict[str, Any]
_T = TypeVar("_T")

READY_SECONDS = 60.0


def poll(what: str, look: Callable[[], _T | None], seconds: float = READY_SECONDS) -> _T:
    """The first answer of `look` that is neither None nor False.

    Raises:
        AssertionError: It did not come in time; names `what`.
    """
    deadline = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        if time.monotonic() > deadline:
            message = f"not within {seconds} s: {what}"
            raise AssertionError(message)
        time.sleep(0.1)


def body(namespace: str, name: str, **spec: Any) -> Json:
    """A Sandbox as YAML would have it."""
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "Sandbox",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def apply(cluster: Cluster, *bodies: Json) -> str:
    """Applies objects as a user would."""
    manifest = {"apiVersion": "v1", "kind": "List", "items": list(bodies)}
    return cluster.kubectl("apply", "-f", "-", input=json.dumps(manifest))


def create_sandbox(cluster: Cluster, namespace: str, name: str = "demo", **spec: Any) -> str:
    """Creates a Sandbox and returns its name at once."""
    apply(cluster, body(namespace, name, **spec))
    return name


def sandbox(cluster: Cluster, namespace: str, name: str = "demo", **spec: Any) -> str:
    """Creates a Sandbox and waits until it is Ready."""
    create_sandbox(cluster, namespace, name, **spec)
    wait_ready(cluster, namespace, name)
    return name


def get(cluster: Cluster, kind: str, namespace: str, name: str) -> Json | None:
    """The object, or None."""
    text = cluster.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
    found: Json | None = json.loads(text) if text else None
    return found


def items(cluster: Cluster, kind: str, namespace: str, selector: str = "") -> list[Json]:
    """All objects of a kind in a namespace."""
    text = cluster.kubectl("get", kind, "-n", namespace, "-o", "json", "-l", selector)
    found: list[Json] = json.loads(text)["items"]
    return found


def condition(found: Json | None, type_: str = "Ready") -> Json:
    """A condition of a Sandbox; empty while there is none."""
    conditions = (found or {}).get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == type_), {})


def wait_ready(cluster: Cluster, namespace: str, name: str, seconds: float = READY_SECONDS) -> Json:
    """The Sandbox once it is Ready."""
    return wait_for(cluster, namespace, name, "PodReady", seconds)


def wait_for(
    cluster: Cluster, namespace: str, name: str, reason: str, seconds: float = READY_SECONDS
) -> Json:
    """The Sandbox once its condition Ready has the reason."""
    last: Json = {}

    def look() -> Json | None:
        found = get(cluster, "sandbox", namespace, name)
        last.update(condition(found))
        return found if found and condition(found).get("reason") == reason else None

    try:
        return poll(f"Sandbox {name} to be {reason}", look, seconds)
    except AssertionError as error:
        message = f"{error}; it is {last}"
        raise AssertionError(message) from None


def execute(
    cluster: Cluster, namespace: str, name: str, *argv: str, stdin: str | None = None
) -> str:
    """Runs a command in the agent container and returns its stdout; raises with its stderr."""
    flags = ["-i"] if stdin is not None else []
    return cluster.kubectl(
        "exec", *flags, "-n", namespace, name, "-c", "agent", "--", *argv, input=stdin
    )


def unpack(cluster: Cluster, namespace: str, name: str, archive: Path, target: str) -> None:
    """Unpacks a tar archive, compressed or not, in the agent container."""
    argv = [str(cluster.paths.bin / "kubectl"), "--kubeconfig", str(cluster.kubeconfig)]
    argv += ["exec", "-i", "-n", namespace, name, "-c", "agent", "--"]
    # Through a pipe, tar does not find out by itself that the input is compressed.
    form = ["-z"] if archive.name.endswith((".gz", ".tgz")) else []
    script = ["sh", "-c", 'mkdir -p "$1" && shift && exec tar "$@"', "sh", target]
    with archive.open("rb") as content:
        subprocess.run([*argv, *script, "-x", *form, "-C", target], stdin=content, check=True)


def python(cluster: Cluster, namespace: str, name: str, program: str) -> str:
    """Runs a Python program in the agent container."""
    return execute(cluster, namespace, name, "python3", "-", stdin=program)
