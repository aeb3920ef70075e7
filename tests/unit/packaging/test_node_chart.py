"""The node agent's Pod and rights: what docs/security.md explains, and what its code uses."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from helm import render

from api_access import service_account
from node_samples import PROFILE, pod
from rendered import Render, Rendered
from ringfence.node import agent
from ringfence.node.api import Client
from ringfence.node.pod_watch import PodWatch
from ringfence.node.publisher import Publisher
from ringfence.node.report import NodeState
from ringfence.node.settings import NodeSettings
from scripted_server import Answer, Request, ScriptedServer

Json = dict[str, Any]
SECURITY = (render.ROOT / "docs" / "security.md").read_text()
STATE = NodeState("0.1.0", 1, (PROFILE,), False, (), ())  # noqa: FBT003
Right = tuple[str, str, str]


def _spec(chart: Rendered) -> Json:
    spec: Json = chart.one("DaemonSet", "ringfence-node")["spec"]["template"]["spec"]
    return spec


def _container(chart: Rendered) -> Json:
    (found,) = _spec(chart)["containers"]
    return dict(found)


def _documented(heading: str) -> set[str]:
    """The first cells of the table below a heading of docs/security.md."""
    _, _, rest = SECURITY.partition(f"\n{heading}\n")
    table = rest.strip().split("\n\n")[0].splitlines()[2:]
    return {match[1] for row in table if (match := re.match(r"\| `([^`]+)`", row))}


def test_capabilities_are_those_that_are_explained(chart: Rendered) -> None:
    capabilities = _container(chart)["securityContext"]["capabilities"]
    assert capabilities["drop"] == ["ALL"]
    assert set(capabilities["add"]) == _documented("#### Capabilities of the node agent")


def test_mounts_are_those_that_are_explained(chart: Rendered) -> None:
    paths = {v["hostPath"]["path"] for v in _spec(chart)["volumes"]}
    assert paths == _documented("#### Directories of the node agent")


def test_pod_shares_the_nodes_pids_and_nothing_else(chart: Rendered) -> None:
    spec, context = _spec(chart), _container(chart)["securityContext"]
    assert spec["hostPID"] is True
    assert not {"hostNetwork", "hostIPC", "initContainers"} & set(spec)
    assert context["privileged"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert all("mountPropagation" not in m for m in _container(chart)["volumeMounts"])


def test_it_runs_on_every_node(chart: Rendered) -> None:
    assert _spec(chart)["tolerations"] == [{"operator": "Exists"}]


def test_foreign_directory_is_mounted_only_for_its_provider(render_with: Render) -> None:
    rendered = render_with({"profiles": {"provider": "SecurityProfilesOperator"}})
    (mount,) = [
        m for m in _container(rendered)["volumeMounts"] if m["name"] == "security-profiles-operator"
    ]
    assert mount["readOnly"] is True


def test_settings_accept_the_environment_of_the_chart(chart: Rendered) -> None:
    environment = {e["name"]: e.get("value", "x") for e in _container(chart)["env"]}
    assert NodeSettings.from_environment(environment).installs


def test_probes_are_on_the_port_that_it_is_told(render_with: Render) -> None:
    found = _container(render_with({"node": {"port": 9001}}))
    assert found["ports"] == [{"name": "http", "containerPort": 9001, "protocol": "TCP"}]
    assert {e["name"]: e.get("value") for e in found["env"]}["RINGFENCE_NODE_PORT"] == "9001"


def test_it_reaches_the_api_server_and_nobody_reaches_it(chart: Rendered) -> None:
    policy = chart.one("NetworkPolicy", "ringfence-node")["spec"]
    assert "ingress" not in policy
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    (rule,) = policy["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": p} for p in (443, 6443)]


# --- rights ---------------------------------------------------------------------------------------


def _right(request: Request) -> Iterator[Right]:
    """What the API server asks for."""
    url = urlsplit(request.path)
    parts = url.path.strip("/").split("/")
    group, parts = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    parts = parts[2:] if parts[0] == "namespaces" else parts
    resource = "/".join([parts[0], *parts[2:]])
    if request.method == "PATCH":
        yield group, resource, "patch"
        if "apply" in request.kind and "/" not in resource and resource != "nodes":
            yield group, resource, "create"
    elif len(parts) > 1:
        yield group, resource, "get"
    else:
        yield group, resource, "watch" if "watch=1" in url.query else "list"


class _Ended(BaseException):
    """Ends a watch that otherwise goes on for ever."""


@pytest.fixture
def used(tmp_path: Path) -> set[Right]:
    """Every request that the node agent's code makes, as rights."""
    exists = False

    def answer(request: Request) -> Answer:
        nonlocal exists
        path = urlsplit(request.path).path
        if path.endswith("sandboxnodes/node-1"):
            exists = True
        if path.endswith("sandboxnodes/node-1/status") and not exists:
            return 404, {"message": "not found"}
        if path.endswith("/nodes/node-1"):
            return 200, {"metadata": {"name": "node-1", "uid": "u", "labels": {}}}
        if "watch=1" in request.path:
            return 403, {"message": "the end"}
        if request.method == "GET":
            return 200, {"metadata": {"resourceVersion": "1"}, "items": []}
        return 200, request.body or {}

    def end(_: float) -> None:
        raise _Ended

    with ScriptedServer(service_account(tmp_path), answer) as server:
        client = Client(server.access)
        Publisher("node-1", lambda: datetime.now(UTC)).publish(client, STATE)
        agent.patch_pod(client, pod(), {})
        with pytest.raises(_Ended):
            PodWatch(server.access, "node-1", lambda _: None, end).run()
        client.close()
        return {right for request in server.requests for right in _right(request)}


def test_role_grants_exactly_the_verbs_in_use(chart: Rendered, used: set[Right]) -> None:
    role = chart.one("ClusterRole", "ringfence-node")
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == used


def test_only_the_node_agent_is_bound_to_the_role(chart: Rendered) -> None:
    binding = chart.one("ClusterRoleBinding", "ringfence-node")
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "ringfence-node", "namespace": "ringfence-system"}
    ]
    assert _spec(chart)["serviceAccountName"] == "ringfence-node"


def test_nothing_else_speaks_to_the_api_server() -> None:
    """So that the requests above are all there are."""
    calls = ("client.get(", "client.apply(", "client.patch(", "api.watch(")
    sources = (render.ROOT / "operator" / "ringfence" / "node").glob("*.py")
    users = {path.name for path in sources if any(call in path.read_text() for call in calls)}
    assert users == {"agent.py", "pod_watch.py", "publisher.py"}


def test_policies_deny_and_fail_closed(chart: Rendered) -> None:
    bindings = chart.of_kind("ValidatingAdmissionPolicyBinding")
    denied = [
        {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}
        for policy in chart.of_kind("ValidatingAdmissionPolicy")
        if policy["spec"]["failurePolicy"] == "Fail"
    ]
    assert [binding["spec"] for binding in bindings] == denied
