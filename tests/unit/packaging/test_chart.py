"""What the chart installs, seen from outside: hardening, images, switches, the default class."""

from typing import Any

import pytest
from helm import render

from rendered import Render, Rendered
from ringfence.api import SandboxClass
from ringfence.settings import Settings

Json = dict[str, Any]
CLASS_API = ("--api-versions", render.CLASS_API)


def _container(rendered: Rendered, kind: str, name: str) -> Json:
    (found,) = rendered.one(kind, name)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def _operator(rendered: Rendered) -> Json:
    return _container(rendered, "Deployment", "ringfence-operator")


def test_all_pods_are_hardened(chart: Rendered) -> None:
    found = dict(chart.pod_templates())
    assert set(found) == {"ringfence-operator", "ringfence-node"}
    for template in found.values():
        for container in template["spec"]["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"]["drop"] == ["ALL"]
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"]["limits"])
            assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"]["requests"])
        assert not {"hostNetwork", "hostIPC"} & set(template["spec"])
        assert template["spec"]["enableServiceLinks"] is False


def test_operator_pod_passes_pod_security_restricted(chart: Rendered) -> None:
    spec = chart.one("Deployment", "ringfence-operator")["spec"]["template"]["spec"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert not {"volumes", "hostPID"} & set(spec)
    (container,) = spec["containers"]
    assert "add" not in container["securityContext"]["capabilities"]


def test_one_operator_at_a_time_and_drains_are_not_blocked(chart: Rendered) -> None:
    spec = chart.one("Deployment", "ringfence-operator")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    budget = chart.one("PodDisruptionBudget", "ringfence-operator")["spec"]
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget


def test_settings_accepts_the_environment_of_the_chart(chart: Rendered, tmp_path: Any) -> None:
    environment = {e["name"]: e["value"] for e in _operator(chart)["env"]}
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 10.96.0.10\n")
    settings = Settings.from_environment(environment, resolv_conf)
    assert settings == Settings(
        proxy_image="ringfence.dev/proxy:0.1.0",
        operator_image="ringfence.dev/operator:0.1.0",
        resolver="10.96.0.10",
    )


def test_every_variable_of_the_chart_is_one_that_the_operator_reads(chart: Rendered) -> None:
    known = {f"RINGFENCE_{name.upper()}" for name in Settings.__dataclass_fields__}
    assert {e["name"] for e in _operator(chart)["env"]} == known


def test_probes_are_on_the_ports_that_the_operator_is_told(render_with: Render) -> None:
    found = _operator(render_with({"operator": {"probePort": 9001}, "metrics": {"port": 9000}}))
    ports = {p["name"]: p["containerPort"] for p in found["ports"]}
    assert ports == {"metrics": 9000, "probes": 9001}
    environment = {e["name"]: e["value"] for e in found["env"]}
    assert environment["RINGFENCE_PROBE_PORT"] == "9001"
    assert environment["RINGFENCE_METRICS_PORT"] == "9000"


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ({}, "ringfence.dev/operator:0.1.0"),
        ({"tag": "9"}, "ringfence.dev/operator:9"),
        ({"registry": ""}, "operator:0.1.0"),
        ({"registry": "mirror.example:5000/x"}, "mirror.example:5000/x/operator:0.1.0"),
        (
            {"tag": "9", "digest": f"sha256:{'a' * 64}"},
            f"ringfence.dev/operator@sha256:{'a' * 64}",
        ),
    ],
)
def test_image_reference_and_digest_wins(render_with: Render, image: Json, reference: str) -> None:
    rendered = render_with({"image": image})
    assert _operator(rendered)["image"] == reference
    assert _container(rendered, "DaemonSet", "ringfence-node")["image"] == reference


def test_kept_crds_survive_helm_and_argo_cd(chart: Rendered) -> None:
    for crd in chart.of_kind("CustomResourceDefinition"):
        assert crd["metadata"]["annotations"] == {
            "argocd.argoproj.io/sync-options": "ServerSideApply=true,Prune=false,Delete=false",
            "helm.sh/resource-policy": "keep",
        }


def test_crds_can_be_removed_or_left_out(render_with: Render) -> None:
    for crd in render_with({"crds": {"keep": False}}).of_kind("CustomResourceDefinition"):
        assert crd["metadata"]["annotations"] == {
            "argocd.argoproj.io/sync-options": "ServerSideApply=true"
        }
    assert not render_with({"crds": {"install": False}}).of_kind("CustomResourceDefinition")


def _class(rendered: Rendered) -> Json:
    return rendered.one("SandboxClass", "standard")


def test_default_class_is_valid_and_is_the_default(chart: Rendered) -> None:
    body = _class(chart)
    assert body["metadata"]["annotations"]["ringfence.dev/is-default-class"] == "true"
    assert SandboxClass.parse(body).spec.images.default == "ringfence.dev/sandbox:0.1.0"


def test_default_class_is_a_hook_only_while_its_kind_is_unknown(render_with: Render) -> None:
    first, later = _class(render_with({})), _class(render_with({}, *CLASS_API))
    assert first["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade"
    assert "helm.sh/hook" not in later["metadata"]["annotations"]
    assert first["spec"] == later["spec"]


@pytest.mark.parametrize("known", [(), CLASS_API])
def test_no_helm_command_ever_deletes_the_default_class(
    render_with: Render, known: tuple[str, ...]
) -> None:
    annotations = _class(render_with({}, *known))["metadata"]["annotations"]
    assert annotations["helm.sh/resource-policy"] == "keep"
    assert annotations.get("helm.sh/hook-delete-policy", "hook-failed") == "hook-failed"
    # Without these marks the first upgrade would refuse to take the hook's object over.
    assert annotations["meta.helm.sh/release-name"] == "ringfence"
    assert annotations["meta.helm.sh/release-namespace"] == render.NAMESPACE


def test_every_field_of_the_class_can_be_set_through_values(render_with: Render) -> None:
    spec = {
        "limits": {"cpu": 2, "memory": "4Gi", "pids": 512, "disk": "10Gi"},
        "egress": {"permitted": [{"host": "*.example.com", "ports": [443]}]},
        "tolerations": [{"key": "sandbox", "operator": "Exists"}],
    }
    values = {"defaultClass": {"spec": spec, "allowedImages": ["ringfence.dev/*"]}}
    body = _class(render_with(values))
    assert body["spec"] == {
        "images": {"default": "ringfence.dev/sandbox:0.1.0", "allowed": ["ringfence.dev/*"]},
        **spec,
    }
    SandboxClass.parse(body)


def test_operator_reaches_only_the_api_server_and_nobody_reaches_it(chart: Rendered) -> None:
    policy = chart.one("NetworkPolicy", "ringfence-operator")["spec"]
    assert "ingress" not in policy
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    (rule,) = policy["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": p} for p in (443, 6443)]


def test_only_named_namespaces_scrape_the_metrics(render_with: Render) -> None:
    rendered = render_with({"networkPolicy": {"metricsNamespaces": ["monitoring"]}})
    (rule,) = rendered.one("NetworkPolicy", "ringfence-operator")["spec"]["ingress"]
    (source,) = rule["from"]
    (expression,) = source["namespaceSelector"]["matchExpressions"]
    assert expression["values"] == ["monitoring"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]


@pytest.mark.parametrize("kind", ["NetworkPolicy", "PodDisruptionBudget", "Service"])
def test_every_selector_selects_its_own_pods_alone(chart: Rendered, kind: str) -> None:
    templates = dict(chart.pod_templates())
    for obj in chart.of_kind(kind):
        spec = obj["spec"]
        selector = spec.get("podSelector") or spec["selector"]
        wanted = selector.get("matchLabels", selector)
        hit = [n for n, t in templates.items() if wanted.items() <= t["metadata"]["labels"].items()]
        component = obj["metadata"]["labels"]["app.kubernetes.io/component"]
        assert hit == [f"ringfence-{component}"], obj["metadata"]["name"]


def test_service_monitor_without_its_service_is_refused(render_with: Render) -> None:
    values = {"metrics": {"service": False, "serviceMonitor": {"enabled": True}}}
    with pytest.raises(render.RenderError, match="needs metrics\\.service: true"):
        render_with(values)


def test_every_name_begins_with_the_release(render_with: Render) -> None:
    rendered = render_with({"fullnameOverride": "other", "defaultClass": {"create": False}})
    own = [o for o in rendered.objects if o["kind"] != "CustomResourceDefinition"]
    assert {o["metadata"]["name"].split("-")[0] for o in own} == {"other"}
