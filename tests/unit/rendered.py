"""What `helm template` printed, and the objects in it."""

from collections.abc import Callable, Iterator
from typing import Any

import yaml

Json = dict[str, Any]

_WITH_PODS = ("Deployment", "DaemonSet", "StatefulSet", "Job", "CronJob")


class Rendered:
    """Objects of a rendered chart or of a manifest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.objects: list[Json] = [o for o in yaml.safe_load_all(text) if o]

    def of_kind(self, kind: str) -> list[Json]:
        """All objects of a kind."""
        return [o for o in self.objects if o["kind"] == kind]

    def one(self, kind: str, name: str) -> Json:
        """The object of this kind and name; it must exist once."""
        (found,) = [o for o in self.of_kind(kind) if o["metadata"]["name"] == name]
        return found

    def pod_templates(self) -> Iterator[tuple[str, Json]]:
        """Name of the object, and the Pod template in it."""
        for obj in self.objects:
            if obj["kind"] in _WITH_PODS:
                yield obj["metadata"]["name"], obj["spec"]["template"]


Render = Callable[..., Rendered]
"""Renders the chart with values given as a nested dict, and further arguments of Helm."""
