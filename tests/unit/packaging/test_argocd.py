"""The Argo CD health checks, with the functions that Argo CD really offers, and the manifests."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from helm import capture, render

from lua_health import CUSTOMIZATIONS, LuaError, health, run
from ringfence.status import Reason

Json = dict[str, Any]
PASSING = {Reason.STARTING, Reason.WAITING}


def _cases() -> list[tuple[str, str, Json]]:
    return [
        (path.parent.name, case["inputPath"], case["healthStatus"])
        for path in sorted(CUSTOMIZATIONS.glob("*/health_test.yaml"))
        for case in yaml.safe_load(path.read_text())["tests"]
    ]


@pytest.mark.parametrize(("kind", "file", "expected"), _cases(), ids=lambda v: str(v)[:60])
def test_health_of_the_test_data(kind: str, file: str, expected: Json) -> None:
    obj = yaml.safe_load((CUSTOMIZATIONS / kind / file).read_text())
    verdict = health(kind, obj)
    assert (verdict.status, verdict.message) == (expected["status"], expected["message"])


def test_every_test_datum_is_used() -> None:
    used = {(kind, Path(file).name) for kind, file, _ in _cases()}
    assert used == {(p.parents[1].name, p.name) for p in CUSTOMIZATIONS.glob("*/testdata/*.yaml")}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_of_a_sandbox_that_is_not_ready_has_a_verdict(reason: Reason) -> None:
    condition = {"type": "Ready", "status": "False", "reason": reason.value, "message": "m"}
    status = {"observedGeneration": 1, "conditions": [condition]}
    verdict = health("Sandbox", {"metadata": {"generation": 1}, "status": status})
    wanted = "Progressing" if reason in PASSING else "Degraded"
    assert verdict.status == ("Healthy" if reason is Reason.POD_SUCCEEDED else wanted)


@pytest.mark.parametrize("status", [None, {}, {"observedGeneration": -1}])
def test_sandbox_without_a_status_is_progressing(status: Json | None) -> None:
    obj: Json = {"metadata": {"generation": 1}} | ({"status": status} if status is not None else {})
    assert health("Sandbox", obj).status == "Progressing"


def test_unknown_is_no_failure() -> None:
    condition = {"type": "Ready", "status": "Unknown", "reason": "PodFailed", "message": "m"}
    status = {"observedGeneration": 1, "conditions": [condition]}
    verdict = health("Sandbox", {"metadata": {"generation": 1}, "status": status})
    assert verdict.status == "Progressing"


@pytest.mark.parametrize(
    "script", ['string.len("a")', '("a"):upper()', "os.execute()", "io.read()"]
)
def test_runner_lacks_what_argo_cd_lacks(script: str) -> None:
    with pytest.raises(LuaError):
        run(f'local x = {script}; return {{ status = "Healthy" }}', {})


def test_config_map_holds_the_scripts_as_they_are() -> None:
    text = (render.ROOT / "manifests/argocd/argocd-cm.yaml").read_text()
    assert yaml.safe_load(text)["data"] == {
        f"resource.customizations.health.ringfence.dev_{path.parent.name}": path.read_text()
        for path in CUSTOMIZATIONS.glob("*/health.lua")
    }


def test_application_renders_the_class_as_a_normal_object() -> None:
    application = _application("ringfence")
    source = application["spec"]["source"]
    assert source["helm"]["apiVersions"] == [render.CLASS_API]
    assert source["path"] == "helm/ringfence"
    assert application["spec"]["destination"]["namespace"] == render.NAMESPACE
    assert "ServerSideApply=true" in application["spec"]["syncPolicy"]["syncOptions"]


def test_sandboxes_come_after_the_operator_and_go_before_it() -> None:
    waves = {
        name: int(_application(name)["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])
        for name in ("ringfence", "agents")
    }
    assert waves["ringfence"] < waves["agents"]


def _application(name: str) -> Json:
    text = (render.ROOT / "manifests/argocd/application.yaml").read_text()
    (found,) = [a for a in yaml.safe_load_all(text) if a["metadata"]["name"] == name]
    return dict(found)


def test_capture_drops_what_differs_from_run_to_run() -> None:
    meta = {
        "name": "a",
        "namespace": "test-1234",
        "uid": "u",
        "resourceVersion": "7",
        "managedFields": [],
        "creationTimestamp": "2031-05-06T07:08:09Z",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "kept": "yes"},
    }
    status = {"uid": 31234, "className": "of-test-1234"}
    text = capture.cleaned({"kind": "Sandbox", "metadata": meta, "status": status})
    assert yaml.safe_load(text)["metadata"]["annotations"] == {"kept": "yes"}
    varying = ("resourceVersion", "managedFields", "2031", "uid: u", "test-1234", "31234")
    assert not any(word in text for word in varying)
