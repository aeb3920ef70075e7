"""Names of Sandboxes for the shell's completion: asked for while somebody waits for a Tab key."""

from typing import Any

from ringfence.client.access import access
from ringfence.client.rest import Rest
from ringfence.kinds import SANDBOX, ApiError


def sandbox_names(ctx: Any, incomplete: str) -> list[str]:
    """Sandboxes whose name begins so; none if the cluster does not answer."""
    given = ctx.params
    try:
        found = access(given.get("kubeconfig"), given.get("context"))
        with Rest(found) as rest:
            objects = rest.list(SANDBOX, given.get("namespace") or found.namespace)
    except ApiError:
        return []
    names = (obj["metadata"]["name"] for obj in objects)
    return sorted(name for name in names if name.startswith(incomplete))
