"""Turns the models of api.py into CustomResourceDefinitions: structural schema, CEL, columns.

`python -m ringfence.crd` writes crds/; `--check` fails when they are stale. No cluster is needed.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel

from ringfence import names
from ringfence.api import Json, SandboxClassSpec, SandboxSpec
from ringfence.sandbox_node import SandboxNodeStatus
from ringfence.status import SandboxStatus

_DROPPED: Final = {"title", "additionalProperties"}
_IMMUTABLE_CLASS: Final = {
    "rule": "has(self.className) == has(oldSelf.className) && "
    "(!has(self.className) || self.className == oldSelf.className)",
    "message": "className cannot be changed; create a new Sandbox",
    "fieldPath": ".className",
}
_REFUSED_LIMITS: Final = (
    (
        "cpu",
        "quantity(string(self.limits.cpu)).compareTo(quantity(string(self.defaultLimits.cpu)))",
    ),
    (
        "memory",
        "quantity(string(self.limits.memory)).compareTo(quantity(string(self.defaultLimits.memory)))",
    ),
    (
        "disk",
        "quantity(string(self.limits.disk)).compareTo(quantity(string(self.defaultLimits.disk)))",
    ),
    ("pids", "self.limits.pids - self.defaultLimits.pids"),
)
_BYTE_RATES: Final = ("readBytesPerSecond", "writeBytesPerSecond")


def structural(schema: Json, definitions: Json) -> Json:
    """`schema` as Kubernetes wants it: no $ref, no null, no titles, maps by value schema."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rsplit("/", 1)[-1]]
        return structural(
            {**target, **{k: v for k, v in schema.items() if k != "$ref"}}, definitions
        )
    if "anyOf" in schema:
        return structural(_without_null(schema), definitions)
    result = {k: v for k, v in schema.items() if k not in _DROPPED}
    if result.get("default", ...) is None or result.get("default") in ({}, []):
        del result["default"]
    if result.get("x-kubernetes-int-or-string"):
        _allow_integer(result)
    if "properties" in result:
        result["properties"] = {
            k: structural(v, definitions) for k, v in schema["properties"].items()
        }
    if "items" in result:
        result["items"] = structural(schema["items"], definitions)
    if isinstance(schema.get("additionalProperties"), dict):
        result |= _map_of(schema, definitions)
    return result


def _without_null(schema: Json) -> Json:
    (branch,) = [b for b in schema["anyOf"] if b != {"type": "null"}]
    return {**branch, **{k: v for k, v in schema.items() if k != "anyOf"}}


def _allow_integer(result: Json) -> None:
    """An int-or-string field has no type, and the pattern binds strings only."""
    result.pop("type")
    result["anyOf"] = [{"type": "integer"}, {"type": "string"}]


def _map_of(schema: Json, definitions: Json) -> Json:
    """A map whose keys are listed becomes an object with those properties."""
    value = structural(schema["additionalProperties"], definitions)
    keys = schema.get("propertyNames", {}).get("enum")
    if keys is None:
        return {"additionalProperties": value}
    described = {"description": "State of this layer."} | value
    return {"properties": dict.fromkeys(keys, described), "propertyNames": None}


def _prune(node: Any) -> Any:
    """`node` without the keys that were set to None on the way."""
    if isinstance(node, dict):
        return {k: _prune(v) for k, v in node.items() if v is not None}
    return [_prune(v) for v in node] if isinstance(node, list) else node


def _schema(model: type[BaseModel]) -> Json:
    raw = model.model_json_schema(by_alias=True)
    result: Json = _prune(structural(raw, raw.get("$defs", {})))
    result.pop("$defs", None)
    return result


def _column(name: str, path: str, *, priority: int = 0, type_: str = "string") -> Json:
    column: Json = {"name": name, "type": type_, "jsonPath": path}
    return column | ({"priority": priority} if priority else {})


def _crd(kind: str, plural: str, short: str, scope: str, version: Json) -> Json:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": scope,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["ringfence"],
            },
            "versions": [{"name": names.VERSION, "served": True, "storage": True, **version}],
        },
    }


def _condition(type_: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{type_}")].{field}'


def sandbox_crd() -> Json:
    """The CustomResourceDefinition of Sandbox."""
    spec = _schema(SandboxSpec)
    spec["x-kubernetes-validations"] = [_IMMUTABLE_CLASS]
    status = _schema(SandboxStatus) | {"default": {"observedGeneration": -1}}
    columns = [
        _column("Ready", _condition("Ready", "status")),
        _column("Reason", _condition("Ready", "reason")),
        _column("Phase", ".status.phase"),
        _column("Class", ".status.className", priority=1),
        _column("Image", ".status.image", priority=1),
        _column("Node", ".status.nodeName", priority=1),
        _column("Message", _condition("Ready", "message"), priority=1),
        _column("Age", ".metadata.creationTimestamp", type_="date"),
    ]
    version = {
        "additionalPrinterColumns": columns,
        "subresources": {"status": {}},
        "selectableFields": [{"jsonPath": ".spec.className"}],
        "schema": _root("A place to run untrusted agent code.", {"spec": spec, "status": status}),
    }
    return _crd("Sandbox", "sandboxes", "rfs", "Namespaced", version)


def _default_limit_rules() -> list[Json]:
    return [
        {
            "rule": f"{difference} >= 0",
            "message": f"defaultLimits.{name} is greater than limits.{name}",
            "fieldPath": ".defaultLimits",
        }
        for name, difference in _REFUSED_LIMITS
    ]


def _byte_rate_rules() -> list[Json]:
    return [
        {
            "rule": f"!has(self.io) || !has(self.io.{name}) || "
            f"quantity(string(self.io.{name})).isGreaterThan(quantity('0'))",
            "message": "must be more than 0",
            "fieldPath": f".io.{name}",
        }
        for name in _BYTE_RATES
    ]


def class_crd() -> Json:
    """The CustomResourceDefinition of SandboxClass."""
    spec = _schema(SandboxClassSpec)
    spec["x-kubernetes-validations"] = [*_default_limit_rules(), *_byte_rate_rules()]
    columns = [
        _column("Image", ".spec.images.default"),
        _column("AppArmor", ".spec.appArmor.mode"),
        _column("UserNamespaces", ".spec.userNamespaces", priority=1),
        _column("Age", ".metadata.creationTimestamp", type_="date"),
    ]
    version = {
        "additionalPrinterColumns": columns,
        "schema": _root("The administrator's ceiling for Sandboxes.", {"spec": spec}),
    }
    return _crd("SandboxClass", "sandboxclasses", "rfsc", "Cluster", version)


def node_crd() -> Json:
    """The CustomResourceDefinition of SandboxNode."""
    columns = [
        _column("Profiles", _condition(names.PROFILES_INSTALLED, "status")),
        _column("AppArmor", ".status.appArmor.enabled", type_="boolean"),
        _column("Cgroup", ".status.cgroupVersion", type_="integer"),
        _column("Renewed", ".status.renewTime", type_="date"),
        _column("Seccomp", ".status.seccompProfiles", priority=1),
        _column("AppArmorProfiles", ".status.appArmor.profiles", priority=1),
        _column("Version", ".status.agentVersion", priority=1),
        _column("Age", ".metadata.creationTimestamp", type_="date"),
    ]
    description = "What the node agent found on the node of the same name. Nobody else writes it."
    version = {
        "additionalPrinterColumns": columns,
        "subresources": {"status": {}},
        "schema": _root(description, {"status": _schema(SandboxNodeStatus)}),
    }
    return _crd("SandboxNode", "sandboxnodes", "rfn", "Cluster", version)


def _root(description: str, properties: Json) -> Json:
    return {
        "openAPIV3Schema": {
            "description": description,
            "type": "object",
            **({"required": ["spec"]} if "spec" in properties else {}),
            "properties": {
                "apiVersion": {"type": "string", "description": "API version of the object."},
                "kind": {"type": "string", "description": "Kind of the object."},
                "metadata": {"type": "object"},  # the API server takes nothing else here
                **properties,
            },
        }
    }


class _Dumper(yaml.SafeDumper):
    """Writes shared parts out instead of as YAML anchors, which kubectl users never meet."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def rendered() -> dict[str, str]:
    """File name to content of everything in crds/."""
    return {
        f"{crd['metadata']['name']}.yaml": "# Generated by `python -m ringfence.crd`.\n"
        + yaml.dump(crd, Dumper=_Dumper, sort_keys=False, width=100)
        for crd in (sandbox_crd(), class_crd(), node_crd())
    }


def main() -> int:
    """Writes the files, or checks them."""
    parser = argparse.ArgumentParser(prog="python -m ringfence.crd", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when a file is stale")
    parser.add_argument("--dir", type=Path, default=Path("crds"), help="default: crds")
    options = parser.parse_args()
    stale = [name for name, text in rendered().items() if _differs(options.dir / name, text)]
    for name in stale:
        if not options.check:
            (options.dir / name).write_text(rendered()[name])
        sys.stdout.write(f"{'stale' if options.check else 'wrote'}: {options.dir / name}\n")
    return 1 if options.check and stale else 0


def _differs(path: Path, text: str) -> bool:
    return not path.exists() or path.read_text() != text


if __name__ == "__main__":
    sys.exit(main())
