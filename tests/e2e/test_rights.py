"""The operator gets by with the rights of the chart: nothing it asks for is refused.

Read from the API server's audit log, so it also covers what other tests made the operator do.
"""

import json
from typing import Any

import pytest

import support
from cluster import Cluster

pytestmark = pytest.mark.usefixtures("ringfence")

Json = dict[str, Any]
OPERATOR = "system:serviceaccount:ringfence-system:ringfence-operator"
ROLE = "eks.amazonaws.com/role-arn=arn:aws:iam::123456789012:role/stolen"


def _requests(cluster: Cluster) -> list[Json]:
    """Everything that the operator asked the API server for."""
    lines = (cluster.state / "audit.log").read_text().splitlines()
    entries = (json.loads(line) for line in lines if OPERATOR in line)
    return [e for e in entries if e["user"]["username"] == OPERATOR]


def _decision(entry: Json) -> str:
    return str(entry.get("annotations", {}).get("authorization.k8s.io/decision"))


def test_operator_is_never_refused_a_right(cluster: Cluster, namespace: str) -> None:
    support.sandbox(cluster, namespace)
    _make_it_repair(cluster, namespace)
    requests = _requests(cluster)
    verbs = {(e["verb"], e["objectRef"]["resource"]) for e in requests if "objectRef" in e}
    assert {("delete", "serviceaccounts"), ("patch", "configmaps"), ("patch", "pods")} <= verbs
    refused = [e["requestURI"] for e in requests if _decision(e) == "forbid"]
    assert not refused


def _make_it_repair(cluster: Cluster, namespace: str) -> None:
    """Drift that is answered by a deletion, and drift that is answered by an apply."""
    before = _uid(support.get(cluster, "serviceaccount", namespace, "demo"))
    cluster.kubectl("annotate", "serviceaccount", "demo", ROLE, "-n", namespace)
    cluster.kubectl("delete", "configmap", "demo", "-n", namespace)

    def repaired() -> bool:
        account = support.get(cluster, "serviceaccount", namespace, "demo")
        config = support.get(cluster, "configmap", namespace, "demo")
        return bool(account and config) and _uid(account) != before

    support.poll("repair of ServiceAccount and ConfigMap", repaired)


def _uid(found: Json | None) -> str:
    return str(found["metadata"]["uid"]) if found else ""
