"""`helm test`: the attack table in the cluster, with exactly the rights that it uses."""

from typing import Any

import pytest
import yaml
from helm import render

from attack.fakes import Cluster, Programs
from packaging_rights import Right, granted, rights_for
from rendered import Render, Rendered
from ringfence.attack.rows import ROWS
from ringfence.attack.runner import Runner
from ringfence.attack.scene import Plan
from ringfence.attack.stage import stage
from ringfence.kinds import ApiError, Kind

NAME = "ringfence-attack"


@pytest.fixture(scope="session", name="chart_tests")
def _chart_tests() -> Rendered:
    """The chart's test hooks alone."""
    everything = Rendered(render.template(tests=True))
    found = [o for o in everything.objects if _annotations(o).get("helm.sh/hook") == "test"]
    return Rendered(yaml.safe_dump_all(found))


def _annotations(obj: dict[str, Any]) -> dict[str, str]:
    return dict(obj["metadata"].get("annotations") or {})


async def _used() -> set[Right]:
    """Rights behind every call of a whole run."""
    cluster, calls = Cluster(), set[tuple[str, Kind]]()

    def note(verb: str, kind: Kind) -> ApiError | None:
        calls.add((verb, kind))
        return None

    cluster.fault = note
    async with stage(cluster, Programs(), Plan(namespace="agents")) as scene:
        run = Runner(cluster, Programs(), scene).run(ROWS, lambda _: None)
        assert [result async for result in run]
    used = {right for call, kind in calls for right in rights_for(call, kind)}
    return used | {Right("", "pods/exec", verb) for verb in ("get", "create")}


async def test_its_roles_grant_exactly_what_a_run_uses(chart_tests: Rendered) -> None:
    roles = [chart_tests.one("Role", NAME), chart_tests.one("ClusterRole", NAME)]
    assert {right for role in roles for right in granted(role)} == await _used()


def test_only_the_look_at_the_node_is_a_right_in_the_whole_cluster(chart_tests: Rendered) -> None:
    assert granted(chart_tests.one("ClusterRole", NAME)) == {Right("", "nodes", "get")}


def test_every_binding_is_of_its_own_account(chart_tests: Rendered) -> None:
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": render.NAMESPACE}
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        binding = chart_tests.one(kind, NAME)
        assert binding["subjects"] == [account]
        assert binding["roleRef"]["name"] == NAME


def test_rights_exist_only_during_the_test_and_the_log_stays(chart_tests: Rendered) -> None:
    for obj in chart_tests.objects:
        policy = set(_annotations(obj)["helm.sh/hook-delete-policy"].split(","))
        if obj["kind"] == "Pod":
            assert policy == {"before-hook-creation"}
        else:
            assert policy == {"before-hook-creation", "hook-succeeded", "hook-failed"}
            assert int(_annotations(obj)["helm.sh/hook-weight"]) < 0


def test_its_pod_passes_pod_security_restricted_and_ends(chart_tests: Rendered) -> None:
    spec = chart_tests.one("Pod", NAME)["spec"]
    (container,) = spec["containers"]
    context = container["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert spec["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"]
    assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"]["limits"])


def test_its_pod_reaches_the_api_server_alone(chart_tests: Rendered) -> None:
    policy = chart_tests.one("NetworkPolicy", NAME)["spec"]
    labels = chart_tests.one("Pod", NAME)["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    (rule,) = policy["egress"]
    assert {port["port"] for port in rule["ports"]} == {443, 6443}


def test_values_choose_namespace_class_and_target(render_with: Render) -> None:
    values = {"helmTest": {"namespace": "agents", "className": "strict", "target": "198.51.100.7"}}
    rendered = render_with(values, tests=True)
    (container,) = rendered.one("Pod", NAME)["spec"]["containers"]
    assert container["command"] == [
        *("ringfence", "attack", "--namespace=agents", "--output=table"),
        *("--class=strict", "--target=198.51.100.7"),
    ]
    for kind in ("Role", "RoleBinding"):
        assert rendered.one(kind, NAME)["metadata"]["namespace"] == "agents"


def test_nothing_of_it_is_installed(chart: Rendered) -> None:
    assert NAME not in chart.text
    assert NAME not in (render.ROOT / "manifests" / "install.yaml").read_text()
