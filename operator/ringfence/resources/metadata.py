"""Metadata of every child: name, labels, owner. Pure.

Labels and annotations of the Sandbox are never copied: Argo CD's tracking labels would make it
prune the children, and an AppArmor annotation would override the profile.
"""

from collections.abc import Mapping

from ringfence import names
from ringfence.api import Json, ObjectMeta


def labels(owner: ObjectMeta) -> dict[str, str]:
    """Labels of every child; the uid finds the Sandbox back, the owner reference proves it."""
    return {**names.MANAGED_BY_LABELS, names.SANDBOX_UID_LABEL: owner.uid}


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


def metadata(owner: ObjectMeta, annotations: Mapping[str, str] | None = None) -> Json:
    """The metadata block of a child."""
    block: Json = {
        "name": names.child_name(owner.name),
        "namespace": owner.namespace,
        "labels": labels(owner),
        "ownerReferences": [owner_reference(owner)],
    }
    return block | ({"annotations": dict(annotations)} if annotations else {})
