"""Objects that unit tests start from."""

from datetime import UTC, datetime
from typing import Any

from ringfence.api import Json, Sandbox, SandboxClass
from ringfence.policy import Effective, effective
from ringfence.settings import Settings

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
SETTINGS = Settings(proxy_image="ringfence.dev/proxy:test", resolver="10.96.0.10")
ROLE = "arn:aws:iam::123456789012:role/agents/reader"


def sandbox(name: str = "demo", **spec: Any) -> Json:
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "Sandbox",
        "metadata": {
            "name": name,
            "namespace": "agents",
            "uid": f"uid-of-{name}",
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": spec,
        "status": {"observedGeneration": -1},
    }


def sandbox_class(name: str = "standard", *, default: bool = True, **spec: Any) -> Json:
    annotations = {"ringfence.dev/is-default-class": "true"} if default else {}
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "SandboxClass",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"images": {"default": "ringfence.dev/sandbox:test"}, **spec},
    }


def accepted(body: Json | None = None, rules: Json | None = None) -> Effective:
    return effective(Sandbox.parse(body or sandbox()), SandboxClass.parse(rules or sandbox_class()))
