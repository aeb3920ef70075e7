"""The disk of a Sandbox: what /work and /tmp are made of, and how much may be written. Pure.

Hard: both are directories of one volume, so that its size binds their sum. Soft: one emptyDir each.
No path here comes from the author of a Sandbox.
"""

from typing import Final

from ringfence import names, quantity
from ringfence.api import Json
from ringfence.policy import Effective

LOGS_LIMIT: Final = "256Mi"
"""With a volume of its own, only logs are left: five files of 10 MiB, and what a process may print
between two rounds of the kubelet that rotates them."""

_REQUEST: Final = "64Mi"
_TMP: Final = "/tmp"  # noqa: S108 - a volume of the container's own


def volumes(wanted: Effective) -> list[Json]:
    """The volumes behind /work and /tmp."""
    if wanted.rules.storage.mode == "Hard":
        return [
            {"name": names.WORKSPACE_VOLUME, "ephemeral": {"volumeClaimTemplate": _claim(wanted)}}
        ]
    limit = {"sizeLimit": wanted.limits.disk}
    return [
        {"name": names.WORKSPACE_VOLUME, "emptyDir": limit},
        {"name": "tmp", "emptyDir": limit},
    ]


def _claim(wanted: Effective) -> Json:
    spec: Json = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": wanted.limits.disk}},
        "volumeMode": "Filesystem",
    }
    if wanted.rules.storage.storage_class_name:
        spec["storageClassName"] = wanted.rules.storage.storage_class_name
    return {"metadata": {"labels": dict(names.MANAGED_BY_LABELS)}, "spec": spec}


def mounts(wanted: Effective) -> list[Json]:
    """How the agent container sees them.

    The kubelet makes the two directories itself, below a root that no container ever mounts:
    nothing in the Sandbox can put a link in their place.
    """
    if wanted.rules.storage.mode == "Hard":
        volume = names.WORKSPACE_VOLUME
        return [
            {"name": volume, "mountPath": "/work", "subPath": "work"},
            {"name": volume, "mountPath": _TMP, "subPath": "tmp"},
        ]
    return [
        {"name": names.WORKSPACE_VOLUME, "mountPath": "/work"},
        {"name": "tmp", "mountPath": _TMP},
    ]


def ephemeral_storage(wanted: Effective) -> tuple[str, str]:
    """Request and limit of what the agent may take of the node's own disk; above it, eviction."""
    limit = LOGS_LIMIT if wanted.rules.storage.mode == "Hard" else wanted.limits.disk
    return quantity.smallest(_REQUEST, limit), limit
