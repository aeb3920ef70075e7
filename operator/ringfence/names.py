"""Names shared by every part: API group, labels, annotations, conditions, child names. Pure.

Nothing here may depend on a cluster, a clock or the environment.
"""

import hashlib
import re
from typing import Final

GROUP: Final = "ringfence.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
FIELD_MANAGER: Final = "ringfence-operator"
NODE_FIELD_MANAGER: Final = "ringfence-node"

DEFAULT_CLASS_ANNOTATION: Final = f"{GROUP}/is-default-class"
SPEC_HASH_ANNOTATION: Final = f"{GROUP}/spec-hash"
EGRESS_HASH_ANNOTATION: Final = f"{GROUP}/egress-hash"
"""Changes with the allowlist: a changed Pod makes the kubelet renew the proxy's volume at once."""
REQUEST_ANNOTATION: Final = f"{GROUP}/request"
"""On a Sandbox that the command line or the SDK made: tells it from another of the same name."""
SANDBOX_UID_LABEL: Final = f"{GROUP}/sandbox-uid"

MANAGED_BY_LABELS: Final = {
    "app.kubernetes.io/managed-by": "ringfence",
    "app.kubernetes.io/component": "sandbox",
}

AGENT_CONTAINER: Final = "agent"
PROXY_CONTAINER: Final = "egress-proxy"

LAYERS: Final = (
    "process",
    "namespaces",
    "seccomp",
    "appArmor",
    "resources",
    "network",
    "audit",
)
"""Layers of defence, from the inside out."""

DOCUMENTATION_ADDRESS: Final = "203.0.113.10"
"""Of RFC 5737: nobody on the internet has it."""

WORKSPACE_VOLUME: Final = "workspace"
"""Volume of /work and /tmp."""

PROXY_UID: Final = 10101
"""uid and gid of the egress proxy; outside the range given to agents, so that rules can tell them
apart."""

LIMITS_VARIABLE: Final = "RINGFENCE_LIMITS"
"""Variable of the proxy container in which a Pod carries the limits that the node agent enforces.

A Pod's spec cannot be changed after the fact; its annotations can.
"""

PROCESS_CONDITION: Final = f"{GROUP}/Process"
NAMESPACES_CONDITION: Final = f"{GROUP}/Namespaces"
SECCOMP_CONDITION: Final = f"{GROUP}/Seccomp"
APP_ARMOR_CONDITION: Final = f"{GROUP}/AppArmor"
RESOURCES_CONDITION: Final = f"{GROUP}/Resources"
POSTURE_VERIFIED: Final = f"{GROUP}/PostureVerified"
"""Conditions of a Pod that the node agent of its node writes."""

PROFILES_INSTALLED: Final = "ProfilesInstalled"
"""Condition of a SandboxNode, and of a Sandbox."""

SECCOMP_INSTALLED: Final = "installed"
APP_ARMOR_ENFORCED: Final = "enforced"
"""Values of the node labels below."""

_LABEL_LENGTH: Final = 63
_HASH_LENGTH: Final = 10
_LABEL_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def child_name(sandbox_name: str) -> str:
    """Name of every child of a Sandbox: its own name, or a cut of it with a hash.

    A Sandbox may have 253 characters, but a Pod's host name and many label values only 63; the
    hash keeps two long names with the same beginning apart.
    """
    return sandbox_name if len(sandbox_name) <= _LABEL_LENGTH else _shortened(sandbox_name)


def workspace_claim(pod_name: str) -> str:
    """Name that Kubernetes gives to the PersistentVolumeClaim of a Pod's workspace."""
    return f"{pod_name}-{WORKSPACE_VOLUME}"


def seccomp_label(localhost_profile: str) -> str:
    """Key of the node label that says: this seccomp profile is in place.

    Args:
        localhost_profile: As a Pod names it, such as `ringfence/sandbox-agent-0a1b2c3d.json`.
    """
    stem = localhost_profile.rpartition("/")[2].removesuffix(".json")
    return f"seccomp.{GROUP}/{_label_name(stem)}"


def app_armor_label(profile: str) -> str:
    """Key of the node label that says: this AppArmor profile is loaded and enforced."""
    return f"apparmor.{GROUP}/{_label_name(profile)}"


def _label_name(name: str) -> str:
    """`name`, unless a label may not be called so; then a cut of it with a hash."""
    return name if _LABEL_NAME.fullmatch(name) else _shortened(name)


def _shortened(name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH_LENGTH]
    head = re.sub("[^A-Za-z0-9_.-]", "-", name)[: _LABEL_LENGTH - _HASH_LENGTH - 1]
    return f"{head.strip('-._')}-{digest}".lstrip("-")
