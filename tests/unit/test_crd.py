"""The CRDs: generated, small, described to the last field, structural."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ringfence import crd
from ringfence.api import Json

CRDS = Path(__file__).parents[2] / "crds"
ALL = [crd.sandbox_crd(), crd.class_crd(), crd.node_crd()]
KINDS = ["Sandbox", "SandboxClass", "SandboxNode"]


def test_committed_files_are_what_the_models_give() -> None:
    assert {p.name: p.read_text() for p in CRDS.glob("*.yaml")} == crd.rendered()


def _schema(body: Json) -> Json:
    found: Json = body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def _walk(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from _walk(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _walk(schema[key], f"{path}[]")


@pytest.mark.parametrize("body", ALL, ids=KINDS)
def test_every_field_is_described(body: Json) -> None:
    fields = [(p, s) for p, s in _walk(_schema(body)) if not p.endswith(("[]", ".metadata"))]
    assert [path for path, schema in fields if not schema.get("description")] == []


@pytest.mark.parametrize("body", ALL, ids=KINDS)
def test_schema_is_structural(body: Json) -> None:
    for path, schema in _walk(_schema(body)):
        assert not {"$ref", "$defs", "title", "propertyNames"} & schema.keys(), path
        assert "type" in schema or schema.get("x-kubernetes-int-or-string"), path
        assert not (schema.get("properties") and "additionalProperties" in schema), path


@pytest.mark.parametrize("body", ALL, ids=KINDS)
def test_crd_fits_an_annotation_of_client_side_apply(body: Json) -> None:
    assert len(yaml.safe_dump(body)) < 100_000


def test_status_defaults_to_generation_minus_one_so_that_kstatus_waits() -> None:
    status = _schema(crd.sandbox_crd())["properties"]["status"]
    assert status["default"] == {"observedGeneration": -1}
    assert status["properties"]["observedGeneration"]["default"] == -1


def test_columns_show_what_a_user_asks_first() -> None:
    columns = crd.sandbox_crd()["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [c["name"] for c in columns if not c.get("priority")] == [
        "Ready",
        "Reason",
        "Phase",
        "Age",
    ]
