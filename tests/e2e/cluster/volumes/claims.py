"""Which claim wants a volume now, what its PersistentVolume says, which volume is done with.

Pure. The protocol is that of any external provisioner: a bound-to-be volume names its claim.
"""

from __future__ import annotations

from decimal import ROUND_CEILING
from typing import Any, Final

from cluster import config
from ringfence import quantity

Json = dict[str, Any]

PROVISIONER: Final = "ringfence.dev/local"
SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
_PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"


def wants_volume(claim: Json) -> bool:
    """Whether a claim is ours, has no volume, and a node was chosen where one must be."""
    spec, meta = claim["spec"], claim["metadata"]
    if "deletionTimestamp" in meta or spec.get("volumeName"):
        return False
    node = meta.get("annotations", {}).get(SELECTED_NODE)
    if spec.get("storageClassName") == config.WAITING_STORAGE_CLASS:
        return bool(node == config.NODE_NAME)
    return bool(spec.get("storageClassName") == config.STORAGE_CLASS)


def is_done_with(volume: Json) -> bool:
    """Whether a volume is ours and its claim is gone."""
    annotations = volume["metadata"].get("annotations", {})
    ours = annotations.get(_PROVISIONED_BY) == PROVISIONER
    return bool(ours and volume.get("status", {}).get("phase") == "Released")


def volume_name(claim: Json) -> str:
    """Name of the volume of a claim; another claim of the same name gets another one."""
    return f"pvc-{claim['metadata']['uid']}"


def size_of(claim: Json) -> int:
    """Whole bytes that a claim asks for."""
    wanted = quantity.parse(str(claim["spec"]["resources"]["requests"]["storage"]))
    return int(wanted.to_integral_value(ROUND_CEILING))


def bound_status(claim: Json) -> Json:
    """The status of a claim that is bound.

    The binder writes it a moment after the binding itself, upon which the scheduler acts at once: a
    kubelet that comes in between finds the claim unbound and tries again after 10 s.
    """
    spec = claim["spec"]
    return {
        "phase": "Bound",
        "accessModes": spec["accessModes"],
        "capacity": {"storage": spec["resources"]["requests"]["storage"]},
    }


def volume_of(claim: Json, path: str) -> Json:
    """The PersistentVolume for a claim, bound to it beforehand."""
    spec, meta = claim["spec"], claim["metadata"]
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [config.NODE_NAME]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume_name(claim),
            "annotations": {_PROVISIONED_BY: PROVISIONER},
        },
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": spec["storageClassName"],
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
            },
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }
