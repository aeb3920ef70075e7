"""Copies of a Sandbox's Pod with something taken away, and the attack table against them."""

from __future__ import annotations

import json
import subprocess
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple

import attack_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster import Cluster

OPERATOR = "system:serviceaccount:ringfence-system:ringfence-operator"

Json = dict[str, Any]


class Run(NamedTuple):
    """One run of the command."""

    code: int
    statuses: dict[str, str]
    document: Json

    @property
    def failed(self) -> set[str]:
        """Rows that did not hold."""
        return {row["name"] for row in self.document["rows"] if not row["passed"]}

    def row(self, name: str) -> Json:
        """One row."""
        return next(row for row in self.document["rows"] if row["name"] == name)


def attack(cluster: Cluster, namespace: str, *arguments: str) -> Run:
    """Runs `ringfence attack`, and reads what it says."""
    command = attack_table.argv(cluster, namespace, "--output", "json", *arguments)
    command += ["--target", attack_table.TARGET]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    document = json.loads(done.stdout)
    statuses = {row["name"]: row["status"] for row in document["rows"]}
    return Run(done.returncode, statuses, document)


def only(rows: list[str]) -> list[str]:
    """The arguments that choose rows."""
    return [word for row in rows for word in ("--row", row)]


def agent(pod: Json) -> Json:
    """The agent container of a Pod."""
    return next(c for c in pod["spec"]["containers"] if c["name"] == "agent")


def copy(original: Json, name: str, edit: Callable[[Json], None]) -> Json:
    """The same Pod under another name, behind the same fence, with something taken away."""
    spec, meta = deepcopy(original["spec"]), deepcopy(original["metadata"])
    for field in ("nodeName", "serviceAccount", "tolerations", "priority", "preemptionPolicy"):
        spec.pop(field, None)
    kept = {field: meta[field] for field in ("namespace", "labels", "annotations")}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**kept, "name": name}, "spec": spec}
    edit(pod)
    return pod


def start(cluster: Cluster, pod: Json, seconds: int = 60) -> str:
    """As the operator, which alone may give a Pod the label that its fence selects."""
    cluster.kubectl("create", "--as", OPERATOR, "-f", "-", input=json.dumps(pod))
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    cluster.kubectl(
        "wait", "-n", namespace, f"pod/{name}", "--for=condition=Ready", f"--timeout={seconds}s"
    )
    return str(name)
