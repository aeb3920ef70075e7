"""Turns an error of the API server into one that names the Sandbox and the way out. I/O: looks."""

from typing import Any, Final

from ringfence.advice import advice
from ringfence.kinds import SANDBOX, ApiError
from ringfence.sdk.errors import NotFound, NotReady, SandboxError, Unavailable
from ringfence.sdk.place import Place

Json = dict[str, Any]

_FORBIDDEN: Final = (401, 403)
_LOOK_CLOSER: Final = (400, 404, 500)
"""Exec in a container that does not run is answered so."""


def explained(place: Place, error: ApiError) -> SandboxError:
    """The error, in terms of the Sandbox that was meant."""
    if error.status in _LOOK_CLOSER:
        try:
            with place.rest() as rest:
                found = rest.get(SANDBOX, place.namespace, place.name)
        except ApiError as another:
            return unavailable(another)
        if found is None:
            return missing(place)
        if ready(found).get("status") != "True":
            return NotReady(f"Sandbox {place.name} is not Ready: {why(found)}")
    return unavailable(error)


def missing(place: Place) -> NotFound:
    """There is no such Sandbox."""
    message = (
        f"there is no Sandbox {place.name} in namespace {place.namespace}: "
        "`ringfence ls -A` shows those of all namespaces"
    )
    return NotFound(message)


def unavailable(error: ApiError) -> Unavailable:
    """The cluster says no, or nothing."""
    if error.status in _FORBIDDEN:
        return Unavailable(f"{error.message}: ask for the rights that docs/cli.md lists")
    return Unavailable(error.message if not error.status else str(error))


def ready(found: Json) -> Json:
    """The condition Ready; empty while there is none."""
    conditions = found.get("status", {}).get("conditions") or []
    return next((c for c in conditions if c.get("type") == "Ready"), {})


def why(found: Json) -> str:
    """Why a Sandbox is not Ready, and what to do about it."""
    condition = ready(found)
    if not condition:
        return "the operator has not seen it yet; if it stays so, look at the operator's log"
    hint = advice(condition.get("reason", ""), found["metadata"]["name"])
    said = f"{condition.get('reason')}: {condition.get('message')}"
    return f"{said} ({hint})" if hint else said
