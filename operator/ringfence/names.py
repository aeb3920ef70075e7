"""Names shared by every part: API group, labels, annotations, child names. Pure constants.

Nothing here may depend on a cluster, a clock or the environment.
"""

import hashlib
from typing import Final

GROUP: Final = "ringfence.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
FIELD_MANAGER: Final = "ringfence-operator"

DEFAULT_CLASS_ANNOTATION: Final = f"{GROUP}/is-default-class"
SPEC_HASH_ANNOTATION: Final = f"{GROUP}/spec-hash"
EGRESS_HASH_ANNOTATION: Final = f"{GROUP}/egress-hash"
"""Changes with the allowlist: a changed Pod makes the kubelet renew the proxy's volume at once."""
SANDBOX_UID_LABEL: Final = f"{GROUP}/sandbox-uid"

MANAGED_BY_LABELS: Final = {
    "app.kubernetes.io/managed-by": "ringfence",
    "app.kubernetes.io/component": "sandbox",
}

AGENT_CONTAINER: Final = "agent"
PROXY_CONTAINER: Final = "egress-proxy"

WORKSPACE_VOLUME: Final = "workspace"
"""Volume of /work and /tmp."""

PROXY_UID: Final = 10101
"""uid and gid of the egress proxy; outside the range given to agents, so that rules can tell them
apart."""

_LABEL_LENGTH: Final = 63
_HASH_LENGTH: Final = 10


def child_name(sandbox_name: str) -> str:
    """Name of every child of a Sandbox: its own name, or a cut of it with a hash.

    A Sandbox may have 253 characters, but a Pod's host name and many label values only 63; the
    hash keeps two long names with the same beginning apart.
    """
    if len(sandbox_name) <= _LABEL_LENGTH:
        return sandbox_name
    digest = hashlib.sha256(sandbox_name.encode()).hexdigest()[:_HASH_LENGTH]
    head = sandbox_name[: _LABEL_LENGTH - _HASH_LENGTH - 1].rstrip("-.")
    return f"{head}-{digest}"


def workspace_claim(pod_name: str) -> str:
    """Name that Kubernetes gives to the PersistentVolumeClaim of a Pod's workspace."""
    return f"{pod_name}-{WORKSPACE_VOLUME}"
