"""Reads a Pod: is its workspace there, does it wait for it, and how long is that normal. Pure.

The operator has no right to read PersistentVolumeClaims. The scheduler says in the Pod when it
waits for one, and says nothing at all while a volume is being made for the node that it chose.
"""

import re
from datetime import datetime
from typing import Final

from ringfence import names
from ringfence.api import Json

PATIENCE_SECONDS: Final = 30.0
"""Cloud volumes take up to 20 s; what takes longer is told with the ways out."""

_ABOUT_VOLUMES: Final = re.compile(r"volume|free storage", re.IGNORECASE)


def claim_template(pod: Json) -> Json | None:
    """Spec of the claim for a volume of its own, or None if the Pod has an emptyDir."""
    for volume in pod["spec"].get("volumes", []):
        if volume["name"] == names.WORKSPACE_VOLUME and "ephemeral" in volume:
            spec: Json = volume["ephemeral"]["volumeClaimTemplate"]["spec"]
            return spec
    return None


def was_mounted(pod: Json) -> bool:
    """True if the agent ran once before: the kubelet starts no container without its volumes."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    agent: Json = next((s for s in statuses if s["name"] == names.AGENT_CONTAINER), {})
    return bool(agent.get("restartCount") or agent.get("state", {}).get("terminated"))


def mounted_message(pod: Json) -> str:
    """What is mounted at /work and /tmp."""
    if claim := claim_template(pod):
        size = claim["resources"]["requests"]["storage"]
        name = names.workspace_claim(pod["metadata"]["name"])
        return f"PersistentVolumeClaim {name} ({size}) is mounted at /work and /tmp"
    return "an emptyDir each is mounted at /work and /tmp; a Pod above its limit is evicted"


def patience_left(pod: Json, now: datetime) -> float | None:
    """Seconds, 0 or less when used up, until the wait is worth a word; None: not waiting."""
    if not _waits(pod):
        return None
    created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    return PATIENCE_SECONDS - (now - created).total_seconds()


def _waits(pod: Json) -> bool:
    """True if the Pod has no node, and its volume is the reason or may be."""
    has_ended = pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
    if claim_template(pod) is None or pod["spec"].get("nodeName") or has_ended:
        return False
    cause = _scheduler_says(pod)
    return cause is None or bool(_ABOUT_VOLUMES.search(cause))


def _scheduler_says(pod: Json) -> str | None:
    conditions = pod.get("status", {}).get("conditions", [])
    found = (c.get("message", "") for c in conditions if c["type"] == "PodScheduled")
    return next(found, None)


def waiting_message(pod: Json) -> str:
    """Why there is no workspace yet, as far as is known, and every way out."""
    claim = claim_template(pod) or {}
    name = names.workspace_claim(pod["metadata"]["name"])
    class_name = claim.get("storageClassName")
    storage = f"StorageClass {class_name!r}" if class_name else "the cluster's default StorageClass"
    cause = _scheduler_says(pod)
    return (
        f"PersistentVolumeClaim {name} has no volume from {storage}"
        f"{f' ({cause})' if cause else ''}: kubectl describe pvc {name} says why. Let "
        "storage.storageClassName of the SandboxClass name a StorageClass that can provide it, or "
        "set storage.mode: Soft to do without a hard limit"
    )
