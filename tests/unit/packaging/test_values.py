"""The chart's values: typing errors are refused, every value is described and has an effect."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from helm import render
from helm.values_docs import schema

from rendered import Render

Json = dict[str, Any]
CLASS_API = ("--api-versions", render.CLASS_API)
NO_EFFECT = {"enabled", "global"}
"""Set by parent charts and not read by this one."""


def _nodes(node: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every key of the values, with its schema."""
    for key, field in node.get("properties", {}).items():
        here = f"{path}.{key}".lstrip(".")
        yield here, field
        yield from _nodes(field, here)


def test_every_value_is_described() -> None:
    assert [path for path, field in _nodes(schema()) if not field.get("description")] == []


def test_every_group_of_values_refuses_unknown_keys() -> None:
    loose = [p for p, f in _nodes(schema()) if f.get("properties") and f["additionalProperties"]]
    assert not loose
    assert schema()["additionalProperties"] is False


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"imagee": {}}, "imagee"),
        ({"image": {"tagg": "1"}}, "tagg"),
        ({"operator": {"workers": "many"}}, "/operator/workers"),
        ({"image": {"digest": "sha256:12"}}, "/image/digest"),
        ({"uids": {"first": 1000}}, "/uids/first"),
        ({"node": {"kubeletRoot": "var/lib"}}, "/node/kubeletRoot"),
        ({"profiles": {"provider": "Mine"}}, "/profiles/provider"),
        ({"profiles": {"seccompProfile": "../strict.json"}}, "/profiles/seccompProfile"),
        ({"profiles": {"appArmorProfile": "a b"}}, "/profiles/appArmorProfile"),
        ({"defaultClass": {"spec": {"images": {}}}}, "images"),
        ({"defaultClass": {"spec": {"limits": {"pids": 1}}}}, "/defaultClass/spec/limits"),
        ({"defaultClass": {"spec": {"appArmor": {"mode": "Maybe"}}}}, "appArmor/mode"),
    ],
)
def test_wrong_value_is_refused_by_name(render_with: Render, values: Json, named: str) -> None:
    with pytest.raises(render.RenderError, match=named):
        render_with(values)


def test_chart_used_as_a_dependency_accepts_its_parents_keys(render_with: Render) -> None:
    render_with({"global": {"anything": 1}, "enabled": True})


def _leaves(node: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in node.items():
        if isinstance(value, dict) and value and key not in {"resources", "nodeSelector"}:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _defaults() -> Json:
    loaded: Json = yaml.safe_load((render.CHART / "values.yaml").read_text())
    return loaded


LEAVES = dict(_leaves(_defaults()))
SWITCHES = [path for path, default in LEAVES.items() if isinstance(default, bool)]
MONITOR: Json = {"metrics": {"serviceMonitor": {"enabled": True}}}
UNIQUE: dict[tuple[str, ...], tuple[Any, str]] = {
    ("image", "pullPolicy"): ("Always", "imagePullPolicy: Always"),
    ("operator", "workers"): (201, '"201"'),
    ("defaultClass", "spec"): ({"userNamespaces": "Disabled"}, "userNamespaces: Disabled"),
    ("dns", "resolver"): ("10.0.0.53", '"10.0.0.53"'),
    ("metrics", "serviceMonitor", "interval"): ("77s", "interval: 77s"),
    ("networkPolicy", "apiServerCidrs"): (["192.0.2.0/24"], "cidr: 192.0.2.0/24"),
    ("networkPolicy", "apiServerPorts"): ([8443], "port: 8443"),
    ("profiles", "provider"): ("Preinstalled", "value: Preinstalled"),
    ("helmTest", "target"): ("198.51.100.7", "--target=198.51.100.7"),
    ("node", "kubeletRoot"): ("/other", "path: /other/seccomp"),
    ("node", "maxUnavailable"): ("37%", "maxUnavailable: 37%"),
    ("imagePullSecrets",): ([{"name": "my-secret"}], "name: my-secret"),
}
"""Values that cannot be just any text or number, and how they show."""


def _marked(path: tuple[str, ...], default: Any, number: int) -> tuple[Any, str]:
    """A valid value that occurs nowhere else, and the text that shows it."""
    mark = f"mark-{number}"
    if path in UNIQUE:
        return UNIQUE[path]
    if path[-1] == "digest":
        digest = f"sha256:{number:064}"
        return digest, digest
    if isinstance(default, int):
        return 20100 + number, str(20100 + number)
    if isinstance(default, dict):
        return {mark: "value"}, mark
    if isinstance(default, list):
        return ([{"key": mark}] if path[0] in {"operator", "node"} else [mark]), mark
    return mark, mark


def _nested(path: tuple[str, ...], value: Any) -> Json:
    for key in reversed(path):
        value = {key: value}
    return dict(value)


def _merged(base: Json, top: Json) -> Json:
    result = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result


@pytest.mark.parametrize("hidden", ["digest", "tag"])
def test_every_value_reaches_a_template(render_with: Render, hidden: str) -> None:
    """Twice, as a digest hides the tag."""
    values, marks = MONITOR, {}
    for number, (path, default) in enumerate(LEAVES.items()):
        if path[-1] != hidden and path not in SWITCHES:
            value, marks[path] = _marked(path, default, number)
            values = _merged(values, _nested(path, value))
    text = render_with(values, *CLASS_API, tests=True).text
    assert [path for path, mark in marks.items() if mark not in text] == []


@pytest.mark.parametrize("path", SWITCHES, ids=".".join)
def test_every_switch_has_an_effect(render_with: Render, path: tuple[str, ...]) -> None:
    base = {} if path[-1] == "enabled" or path == ("metrics", "service") else MONITOR
    flipped = _merged(base, _nested(path, not LEAVES[path]))
    assert render_with(flipped, *CLASS_API).text != render_with(base, *CLASS_API).text


def test_schema_knows_exactly_the_keys_of_the_default_values() -> None:
    opaque = ("defaultClass.spec.",)
    known = {p for p, f in _nodes(schema()) if not f.get("properties") or p == "defaultClass.spec"}
    known = {p for p in known if not p.startswith(opaque)} - NO_EFFECT
    assert known == {".".join(path) for path in LEAVES}


def test_readme_of_the_chart_lists_every_value() -> None:
    readme = (render.CHART / "README.md").read_text()
    assert [path for path in LEAVES if f"`{'.'.join(path)}`" not in readme] == []


def test_chart_passes_the_strict_lint() -> None:
    done = subprocess.run(
        [render.helm_binary(), "lint", "--strict", str(render.CHART)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_schema_file_is_json_that_helm_reads() -> None:
    assert json.loads((render.CHART / "values.schema.json").read_text()) == schema()
