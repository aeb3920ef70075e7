"""Metadata of every child: name, labels, owner. Pure.

Labels and annotations of the Sandbox are never copied: Argo CD's tracking labels would make it
prune the children, and an AppArmor annotation would override the profile.
"""

from collections.abc import Mapping

from ringfence import names
from ringfence.api import Json, ObjectMeta


def labels(owner: ObjectMeta) -> dict[str, str]:
    """Labels of a child; the uid finds the Sandbox back, the owner reference proves it."""
    return {**names.MANAGED_BY_LABELS, names.SANDBOX_UID_LABEL: owner.uid}


def gateway_pod_labels(owner: ObjectMeta) -> dict[str, str]:
    """Labels of the gateway's Pod: not the one that selects the agent's Pod."""
    return {
        **names.MANAGED_BY_LABELS,
        "app.kubernetes.io/component": "egress-gateway",
        names.GATEWAY_UID_LABEL: owner.uid,
    }


def owner_reference(owner: ObjectMeta) -> Json:
    """Controller reference, so that deleting the Sandbox deletes the child."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "Sandbox",
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_reference(pod_name: str, pod_uid: str) -> Json:
    """Second owner of a NetworkPolicy: the garbage collector waits until all owners are gone."""
    return {"apiVersion": "v1", "kind": "Pod", "name": pod_name, "uid": pod_uid}


def metadata(
    owner: ObjectMeta,
    annotations: Mapping[str, str] | None = None,
    *,
    pod_uid: str | None = None,
) -> Json:
    """The metadata block of a child.

    Args:
        owner: Metadata of the Sandbox.
        annotations: Those of the child.
        pod_uid: uid of the Pod that the child must not be gone before.
    """
    return _block(owner, names.child_name(owner.name), annotations, pod_uid)


def gateway_metadata(
    owner: ObjectMeta,
    annotations: Mapping[str, str] | None = None,
    *,
    pod_uid: str | None = None,
) -> Json:
    """The metadata block of a part of the egress gateway; the arguments are those of `metadata`."""
    return _block(owner, names.gateway_name(owner.name), annotations, pod_uid)


def _block(
    owner: ObjectMeta, name: str, annotations: Mapping[str, str] | None, pod_uid: str | None
) -> Json:
    block: Json = {
        "name": name,
        "namespace": owner.namespace,
        "labels": labels(owner),
        "ownerReferences": [owner_reference(owner)],
    }
    if pod_uid:
        block["ownerReferences"].append(pod_reference(name, pod_uid))
    return block | ({"annotations": dict(annotations)} if annotations else {})
