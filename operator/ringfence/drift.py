"""Finds where an object read from the cluster differs from the one that was built. Pure.

Compares what Ringfence fixes and nothing else: fields that the API server or another controller may
rightly add are passed over. Every answer is a list of paths.
"""

import re
from typing import Any, Final

from ringfence import quantity
from ringfence.api import Json
from ringfence.resources.hardening import APPARMOR_ANNOTATION
from ringfence.resources.service_account import ROLE_ARN_ANNOTATION

_QUANTITY_PARENTS: Final = re.compile(r"\.(limits|requests)\.[a-z-]+$|\.sizeLimit$")

_ADDRESSES: Final = frozenset({"clusterIP", "clusterIPs"})
"""Fields of a Service that the API server fills in."""

_POD_FIELDS: Final = (
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "restartPolicy",
    "runtimeClassName",
    "securityContext",
    "serviceAccountName",
    "shareProcessNamespace",
)
"""Fields of a Pod's spec that must be exactly as built. shareProcessNamespace: false is dropped."""


def differences(wanted: Any, seen: Any, path: str = "") -> list[str]:
    """Paths at which the two differ; empty maps, empty lists, false and null count as absent."""
    if _same(wanted, seen, path):
        return []
    if isinstance(wanted, dict) and isinstance(seen, dict):
        keys = sorted(wanted.keys() | seen.keys())
        return [d for k in keys for d in differences(wanted.get(k), seen.get(k), f"{path}.{k}")]
    if isinstance(wanted, list) and isinstance(seen, list) and len(wanted) == len(seen):
        pairs = enumerate(zip(wanted, seen, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{path}[{i}]")]
    return [path.lstrip(".")]


def _same(wanted: Any, seen: Any, path: str) -> bool:
    if wanted == seen or (not wanted and not seen):
        return True
    if isinstance(wanted, str) and isinstance(seen, str) and _QUANTITY_PARENTS.search(path):
        return quantity.parse(wanted) == quantity.parse(seen)
    return False


def child_drift(wanted: Json, seen: Json) -> list[str]:
    """Where a ServiceAccount, NetworkPolicy, ConfigMap or Service is not as built."""
    fields = ("spec", "data", "automountServiceAccountToken")
    found = [d for f in fields for d in differences(wanted.get(f), _managed(wanted, seen, f), f)]
    return found + _metadata_drift(wanted["metadata"], seen["metadata"])


def _managed(wanted: Json, seen: Json, field: str) -> Any:
    """Of a ConfigMap only our own keys, as the Pod mounts no others; of a Service no address."""
    value = seen.get(field)
    if field == "data" and isinstance(value, dict):
        return {k: v for k, v in value.items() if k in wanted["data"]}
    if field == "spec" and isinstance(value, dict):
        return {k: v for k, v in value.items() if k in wanted["spec"] or k not in _ADDRESSES}
    return value


def _metadata_drift(wanted: Json, seen: Json) -> list[str]:
    found = []
    for block in ("labels", "annotations"):
        present = seen.get(block, {})
        missing = (k for k, v in wanted.get(block, {}).items() if present.get(k) != v)
        found += [f"metadata.{block}.{key}" for key in missing]
    owners = {o["uid"] for o in seen.get("ownerReferences", [])}
    if not {o["uid"] for o in wanted["ownerReferences"]} <= owners:
        found.append("metadata.ownerReferences")
    return found


def carries_foreign_role(wanted: Json, seen: Json) -> bool:
    """True if a ServiceAccount names a role that it should not.

    Server-side apply cannot remove an annotation that somebody else owns; only a new object can.
    """
    role = seen["metadata"].get("annotations", {}).get(ROLE_ARN_ANNOTATION)
    return role is not None and ROLE_ARN_ANNOTATION not in wanted["metadata"].get("annotations", {})


def pod_alterations(wanted: Json, seen: Json) -> list[str]:
    """Where a Pod is not the one that was built, by admission or by a later edit."""
    built, spec = wanted["spec"], seen["spec"]
    found = [d for f in _POD_FIELDS for d in differences(built.get(f), spec.get(f), f"spec.{f}")]
    for field in ("containers", "initContainers"):
        found += differences(built[field], spec.get(field, []), f"spec.{field}")
    found += _affinity_drift(built, spec)
    found += differences(built["volumes"], spec.get("volumes", []), "spec.volumes")
    found += differences(_profiles(wanted), _profiles(seen), "metadata.annotations")
    return found + _metadata_drift({**wanted["metadata"], "annotations": {}}, seen["metadata"])


def _affinity_drift(built: Json, seen: Json) -> list[str]:
    """Others may narrow the choice of nodes further; none may widen it.

    Of several terms one is enough, so each must demand what was built.
    """
    (wanted,) = _node_terms(built)
    terms = _node_terms(seen)
    narrow = [
        all(e in t.get("matchExpressions", []) for e in wanted["matchExpressions"]) for t in terms
    ]
    return [] if terms and all(narrow) else ["spec.affinity.nodeAffinity"]


def _node_terms(spec: Json) -> list[Json]:
    node = spec.get("affinity", {}).get("nodeAffinity", {})
    required = node.get("requiredDuringSchedulingIgnoredDuringExecution", {})
    found: list[Json] = required.get("nodeSelectorTerms", [])
    return found


def _profiles(pod: Json) -> Json:
    annotations = pod["metadata"].get("annotations", {})
    return {k: v for k, v in annotations.items() if k.startswith(APPARMOR_ANNOTATION)}
