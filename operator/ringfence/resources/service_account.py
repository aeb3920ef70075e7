"""The ServiceAccount of a Sandbox: its own, without a token, with the IRSA role if any. Pure."""

from typing import Final

from ringfence.api import Json
from ringfence.policy import Effective
from ringfence.resources.metadata import metadata

ROLE_ARN_ANNOTATION: Final = "eks.amazonaws.com/role-arn"
"""Read by the EKS Pod Identity webhook (IRSA)."""


def service_account(wanted: Effective) -> Json:
    """One ServiceAccount per Sandbox: no RBAC is ever bound to it."""
    role = {ROLE_ARN_ANNOTATION: wanted.identity.role_arn} if wanted.identity else None
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(wanted.sandbox.metadata, role),
        "automountServiceAccountToken": False,
    }
