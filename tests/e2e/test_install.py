"""Installing, upgrading and removing Ringfence on a real API server, by Helm and by kubectl."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm import render

from bare_api_server import BareApiServer, bare_api_server
from cluster import ClusterError
from cluster.shell import wait_until

Json = dict[str, Any]
RELEASE = ("ringfence", "-n", "ringfence-system")
CRDS = {"sandboxes.ringfence.dev", "sandboxclasses.ringfence.dev", "sandboxnodes.ringfence.dev"}
SANDBOX = {"apiVersion": "ringfence.dev/v1alpha1", "kind": "Sandbox", "spec": {}}


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
    programs: None,  # noqa: ARG001 - needs to be there, no more
) -> Iterator[BareApiServer]:
    with bare_api_server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def server(running: BareApiServer) -> Iterator[BareApiServer]:
    """The server without Ringfence; what a test leaves is removed."""
    running.helm_name = "helm"
    yield running
    running.helm("uninstall", *RELEASE, "--ignore-not-found")
    # Not the namespace: without controllers a namespace never ends.
    where = ("-n", "ringfence-system", "-l", "app.kubernetes.io/part-of=ringfence")
    running.kubectl("delete", ",".join(_INSTALLED_KINDS), *where, "--wait=false")
    running.kubectl("delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false")
    running.kubectl("delete", "crd", "--all", "--wait=false")
    wait_until("end of the CRDs", lambda: not _names(running, "crd"), 30)


_INSTALLED_KINDS = (
    *("clusterrole", "clusterrolebinding", "serviceaccount", "service", "deployment"),
    *("daemonset", "networkpolicy", "poddisruptionbudget"),
    *("validatingadmissionpolicy", "validatingadmissionpolicybinding"),
)


def _names(server: BareApiServer, kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in server.get(kind)["items"]}


def _install(server: BareApiServer, *flags: str) -> str:
    return server.helm("install", *RELEASE, render.CHART, "--create-namespace", *flags)


def _class_spec(server: BareApiServer) -> Json:
    found: Json = server.get("sandboxclass", "standard")["spec"]
    return found


HELMS = ["helm", "helm3"]
"""Helm 4 and Helm 3."""


@pytest.mark.parametrize("helm", HELMS)
def test_helm_installs_everything_with_one_command(server: BareApiServer, helm: str) -> None:
    server.helm_name = helm
    notes = _install(server)
    assert "kubectl -n agents get rfs" in notes
    assert "WARNING" not in notes
    assert _names(server, "crd") == CRDS
    assert _names(server, "sandboxclass") == {"standard"}
    server.create({**SANDBOX, "metadata": {"name": "a", "namespace": "default"}})


def test_upgrade_changes_the_crds_and_the_default_class(
    server: BareApiServer, tmp_path: Path
) -> None:
    _install(server)
    newer = tmp_path / "newer"
    shutil.copytree(render.CHART, newer)
    crd = newer / "files" / "crds" / "sandboxes.ringfence.dev.yaml"
    body = yaml.safe_load(crd.read_text())
    schema = body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["properties"]["added"] = {"type": "string", "description": "New."}
    crd.write_text(yaml.safe_dump(body))
    server.helm("upgrade", *RELEASE, newer, "--set", "defaultClass.spec.userNamespaces=Disabled")
    installed = server.get("crd", "sandboxes.ringfence.dev")["spec"]["versions"][0]["schema"]
    fields = installed["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert fields["added"]["description"] == "New."
    assert _class_spec(server)["userNamespaces"] == "Disabled"
    server.helm("upgrade", *RELEASE, newer, "--reset-values")
    assert _class_spec(server)["userNamespaces"] == "Enabled"


@pytest.mark.parametrize("helm", HELMS)
def test_removal_keeps_crds_sandboxes_and_class_and_a_new_release_takes_them_over(
    server: BareApiServer, helm: str
) -> None:
    server.helm_name = helm
    _install(server)
    server.create({**SANDBOX, "metadata": {"name": "a", "namespace": "default"}})
    uids = [server.get(*what)["metadata"]["uid"] for what in _KEPT]
    server.helm("uninstall", *RELEASE)
    assert not _names(server, "clusterrole") & {"ringfence-operator", "ringfence-edit"}
    assert not _names(server, "validatingadmissionpolicy")
    _install(server)
    assert [server.get(*what)["metadata"]["uid"] for what in _KEPT] == uids


_KEPT = (
    ("crd", "sandboxes.ringfence.dev"),
    ("sandboxclass", "standard"),
    ("sandbox", "a", "-n", "default"),
)


def test_crds_go_with_the_release_if_asked(server: BareApiServer) -> None:
    _install(server, "--set", "crds.keep=false")
    server.helm("uninstall", *RELEASE)
    wait_until("end of the CRDs", lambda: not _names(server, "crd"), 30)


def test_second_default_class_is_warned_about(server: BareApiServer) -> None:
    _install(server)
    annotations = {"ringfence.dev/is-default-class": "true"}
    other = server.get("sandboxclass", "standard") | {
        "metadata": {"name": "other", "annotations": annotations}
    }
    server.create(other)
    notes = server.helm("upgrade", *RELEASE, render.CHART)
    assert "SandboxClass other is annotated as the default as well" in notes


def test_manifests_apply_server_side_and_again_without_a_change(server: BareApiServer) -> None:
    manifests = render.ROOT / "manifests"
    apply = ("apply", "--server-side", "-f")
    server.kubectl(*apply, str(manifests / "install.yaml"))
    server.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    for name in ("default-class.yaml", "samples/"):
        server.kubectl(*apply, str(manifests / name))
    before = {kind: server.get(kind, "-A")["items"] for kind in _APPLIED}
    server.kubectl(*apply, str(manifests / "install.yaml"))
    assert {kind: server.get(kind, "-A")["items"] for kind in _APPLIED} == before
    assert _names(server, "sandboxclass") == {"standard", "aws-agents"}


_APPLIED = ("crd", "deployment", "daemonset", "networkpolicy", "validatingadmissionpolicy")


def test_kubectl_explains_every_field(server: BareApiServer) -> None:
    """Reads the document that kubectl explain shows."""
    _install(server)
    wait_until("the published schema", lambda: len(_published(server)) == len(CRDS), 30)
    schemas = _published(server)
    blank = [path for name, root in schemas.items() for path in _undescribed(root, name)]
    assert not blank
    wait_until("kubectl explain", lambda: "sets the ceiling" in _explained(server), 30)


def _explained(server: BareApiServer) -> str:
    try:
        return server.kubectl("explain", "rfs.spec.className")
    except ClusterError as error:  # published a little later than the schema itself
        return str(error)


def _published(server: BareApiServer) -> Json:
    """The schemas of our kinds as the API server publishes them."""
    try:
        text = server.kubectl("get", "--raw", "/openapi/v3/apis/ringfence.dev/v1alpha1")
    except ClusterError:
        return {}
    found = json.loads(text)["components"]["schemas"]
    ours = {k.rpartition(".")[2]: v for k, v in found.items() if k.startswith("dev.ringfence.")}
    return {k: v for k, v in ours.items() if not k.endswith("List")}


def _undescribed(node: Json, path: str) -> Iterator[str]:
    inner = node.get("items", node)
    for name, field in inner.get("properties", {}).items():
        if not field.get("description"):
            yield f"{path}.{name}"
        if name != "metadata":
            yield from _undescribed(field, f"{path}.{name}")
    if isinstance(inner.get("additionalProperties"), dict):
        yield from _undescribed(inner["additionalProperties"], f"{path}.*")


def _operator_pod(namespace: str) -> Json:
    objects = list(yaml.safe_load_all(render.template()))
    (template,) = [o["spec"]["template"] for o in objects if o and o["kind"] == "Deployment"]
    metadata = {"name": "operator", "namespace": namespace, **template["metadata"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def test_operator_pod_passes_pod_security_restricted(server: BareApiServer) -> None:
    server.kubectl("create", "namespace", "strict")
    label = "pod-security.kubernetes.io/enforce=restricted"
    server.kubectl("label", "namespace", "strict", label)
    server.create(_operator_pod("strict"), "--dry-run=server")
    loose = _operator_pod("strict")
    del loose["spec"]["containers"][0]["securityContext"]["capabilities"]
    with pytest.raises(ClusterError, match="unrestricted capabilities"):
        server.create(loose, "--dry-run=server")


# --- the admission policy -------------------------------------------------------------------

OPERATOR = "--as=system:serviceaccount:ringfence-system:ringfence-operator"
LABELS = ("ringfence.dev/sandbox-uid", "ringfence.dev/gateway-uid")
REFUSED = re.escape("only the Ringfence operator may create a Pod with the label")


@pytest.fixture(params=LABELS)
def label(request: pytest.FixtureRequest) -> str:
    """A label by which policies select."""
    return str(request.param)


@pytest.fixture
def guarded(server: BareApiServer, label: str) -> BareApiServer:
    """A server on which the policy is in force, with Pods `ours` (labelled) and `plain`."""
    _install(server)
    labelled = _pod("probe", {label: "x"})

    def in_force() -> bool:
        try:
            server.create(labelled, "--dry-run=server")
        except ClusterError as error:
            return "ValidatingAdmissionPolicy" in str(error)
        return False

    wait_until("the admission policy", in_force, 30)
    server.create(_pod("ours", {label: "u1"}), OPERATOR)
    server.create(_pod("plain", {"app": "x"}))
    return server


def _pod(name: str, labels: dict[str, str]) -> Json:
    metadata = {"name": name, "namespace": "default", "labels": labels}
    spec = {"containers": [{"name": "a", "image": "ringfence.dev/none:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _patch(server: BareApiServer, pod: str, body: Json, *flags: str) -> str:
    words = ("patch", "pod", pod, "--type=merge", "-p", json.dumps(body))
    return server.kubectl(*words, *flags)


def test_nobody_but_the_operator_makes_a_pod_pass_for_a_sandboxs(
    guarded: BareApiServer, label: str
) -> None:
    for value in ("u1", ""):
        with pytest.raises(ClusterError, match=REFUSED):
            guarded.create(_pod("forged", {label: value}))
    for flags in ((), ("--subresource=status",)):
        with pytest.raises(ClusterError, match=REFUSED):
            _patch(guarded, "plain", {"metadata": {"labels": {label: "u1"}}}, *flags)


def test_nobody_but_the_operator_takes_a_sandbox_pod_out_of_its_fence(
    guarded: BareApiServer, label: str
) -> None:
    for value in (None, "u2"):
        for flags in ((), ("--subresource=status",)):
            with pytest.raises(ClusterError, match=REFUSED):
                _patch(guarded, "ours", {"metadata": {"labels": {label: value}}}, *flags)
    for path in ("pods/ours/binding", "bindings"):
        with pytest.raises(ClusterError, match=REFUSED):
            _bind(guarded, path, {label: "u2"})
    assert guarded.get("pod", "ours")["metadata"]["labels"][label] == "u1"


def test_scheduler_kubelet_and_other_writers_are_not_disturbed(guarded: BareApiServer) -> None:
    _patch(guarded, "ours", {"metadata": {"labels": {"other": "1"}, "annotations": {"a": "b"}}})
    _patch(guarded, "ours", {"status": {"phase": "Running"}}, "--subresource=status")
    _bind(guarded, "pods/ours/binding", {"topology.kubernetes.io/zone": "z"})
    _patch(guarded, "plain", {"metadata": {"labels": None}})
    guarded.kubectl("delete", "pod", "ours", "plain", "--force", "--grace-period=0")


def _bind(server: BareApiServer, path: str, labels: dict[str, str]) -> str:
    body = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "ours", "labels": labels},
        "target": {"kind": "Node", "name": "node-1"},
    }
    raw = f"/api/v1/namespaces/default/{path}"
    return server.kubectl("create", "--raw", raw, "-f", "-", stdin=json.dumps(body))


def _service(name: str, **spec: Any) -> Json:
    owner = {"apiVersion": "ringfence.dev/v1alpha1", "kind": "Sandbox", "name": "x", "uid": "u1"}
    metadata = {"name": name, "namespace": "default", "ownerReferences": [owner]}
    own = {"selector": {"ringfence.dev/gateway-uid": "u1"}, "ports": [{"port": 3128}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": own | spec}


@pytest.mark.parametrize("label", LABELS[:1], indirect=True)
def test_operator_makes_no_service_that_could_draw_traffic_to_itself(
    guarded: BareApiServer,
) -> None:
    hostile: list[Json] = [
        {"type": "NodePort"},
        {"type": "LoadBalancer"},
        {"externalIPs": ["203.0.113.10"]},
        {"type": "ExternalName", "externalName": "evil.example", "selector": {}},
        {"selector": {"app": "x"}},
        {"selector": {"ringfence.dev/gateway-uid": "u1", "app": "x"}},
        {"selector": {}},
    ]
    for spec in hostile:
        with pytest.raises(ClusterError, match="may make no Service but one inside the cluster"):
            guarded.create(_service("trap", **spec), OPERATOR, "--dry-run=server")
    guarded.create(_service("gateway-x"), OPERATOR)
    others = _service("others", selector={"app": "x"})
    del others["metadata"]["ownerReferences"]
    guarded.create(others)
    change = json.dumps({"spec": {"selector": {"app": None, "ringfence.dev/gateway-uid": "u1"}}})
    with pytest.raises(ClusterError, match="may change no Service but its own"):
        guarded.kubectl("patch", "service", "others", "--type=merge", "-p", change, OPERATOR)
    guarded.kubectl("delete", "service", "gateway-x", "others")
