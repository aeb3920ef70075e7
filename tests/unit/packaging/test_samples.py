"""The sample manifests are valid and hold to what the documentation promises."""

from typing import Any

import pytest
import yaml
from helm import render

from ringfence.api import Sandbox, SandboxClass
from ringfence.policy import effective

Json = dict[str, Any]
SAMPLES = sorted((render.ROOT / "manifests" / "samples").glob("*.yaml"))


def _objects(name: str) -> list[Json]:
    text = (render.ROOT / "manifests" / "samples" / f"{name}.yaml").read_text()
    return [o for o in yaml.safe_load_all(text) if o]


def _default_class() -> Json:
    text = (render.ROOT / "manifests" / "default-class.yaml").read_text()
    return dict(yaml.safe_load(text))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.stem)
def test_sample_is_accepted_by_the_models(path: Any) -> None:
    for obj in _objects(path.stem):
        if obj["kind"] == "Sandbox":
            Sandbox.parse(obj)
        elif obj["kind"] == "SandboxClass":
            SandboxClass.parse(obj)
        else:
            assert obj["kind"] == "Namespace"


def test_first_sample_needs_nothing_but_the_default_class() -> None:
    (sandbox,) = [o for o in _objects("sandbox") if o["kind"] == "Sandbox"]
    effective(Sandbox.parse(sandbox), SandboxClass.parse(_default_class()))


def test_sample_namespace_enforces_pod_security_restricted() -> None:
    (namespace,) = [o for o in _objects("sandbox") if o["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_sample_with_identity_is_permitted_by_the_sample_class() -> None:
    (rules,) = [o for o in _objects("class") if o["kind"] == "SandboxClass"]
    (sandbox,) = [o for o in _objects("identity") if o["kind"] == "Sandbox"]
    assert sandbox["spec"]["className"] == rules["metadata"]["name"]
    effective(Sandbox.parse(sandbox), SandboxClass.parse(rules))


def test_only_the_default_class_is_annotated_as_default() -> None:
    marked = [
        o["metadata"]["name"]
        for path in SAMPLES
        for o in _objects(path.stem)
        if "ringfence.dev/is-default-class" in o["metadata"].get("annotations", {})
    ]
    assert not marked
