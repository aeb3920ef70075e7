"""Generated files equal what their source says today."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from helm import render

from ringfence import crd

Json = dict[str, Any]


def test_chart_carries_the_crds_byte_for_byte() -> None:
    files = render.CHART / "files" / "crds"
    assert {p.name: p.read_bytes() for p in files.iterdir()} == {
        p.name: p.read_bytes() for p in (render.ROOT / "crds").iterdir()
    }


@pytest.mark.parametrize("path", render.chart_files(), ids=lambda p: p.name)
def test_chart_file_follows_its_source(path: Any) -> None:
    assert path.read_text() == render.chart_files()[path], "run: python -m helm.render"


def test_manifests_equal_the_rendered_chart() -> None:
    stale = [p.name for p, text in render.manifest_files().items() if p.read_text() != text]
    assert not stale, "run: python -m helm.render"


def test_rendered_crds_have_the_schema_of_the_models() -> None:
    shipped = {o["metadata"]["name"]: o for o in _install_objects("CustomResourceDefinition")}
    for wanted in (crd.sandbox_crd(), crd.class_crd()):
        assert shipped[wanted["metadata"]["name"]]["spec"] == wanted["spec"]


def test_crds_stay_far_below_the_limit_of_client_side_apply() -> None:
    for obj in _install_objects("CustomResourceDefinition"):
        assert len(json.dumps(obj)) < 262_144 / 4


def test_install_manifest_has_no_mark_that_only_helm_reads() -> None:
    assert not re.search(r"(helm\.sh/|managed-by: Helm)", _install_text())


def test_install_manifest_opens_with_its_namespace() -> None:
    first = next(yaml.safe_load_all(_install_text()))
    assert (first["kind"], first["metadata"]["name"]) == ("Namespace", render.NAMESPACE)


def _install_text() -> str:
    return (render.ROOT / "manifests" / "install.yaml").read_text()


def _install_objects(kind: str) -> Iterator[Json]:
    yield from (o for o in yaml.safe_load_all(_install_text()) if o and o["kind"] == kind)
