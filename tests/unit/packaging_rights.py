"""Rights of roles, and rights that calls of the API client need, in one form to compare them."""

from collections.abc import Iterator
from typing import NamedTuple

from ringfence.api import Json
from ringfence.kinds import EVENT, Kind


class Right(NamedTuple):
    """One verb on one resource."""

    group: str
    resource: str
    verb: str


_RIGHTS = {
    "get": ("", ("get",)),
    "list": ("", ("list",)),
    "watch": ("", ("list", "watch")),
    "apply": ("", ("create", "patch")),  # the API server asks for both
    "delete": ("", ("delete",)),
    "status": ("/status", ("update",)),
}


def rights_for(call: str, kind: Kind) -> Iterator[Right]:
    """What the API server asks for when a kind is called so."""
    if call == "event":
        call, kind = "create", EVENT
    suffix, verbs = ("", ("create",)) if call == "create" else _RIGHTS[call]
    group = kind.api_version.rpartition("/")[0]
    yield from (Right(group, f"{kind.plural}{suffix}", verb) for verb in verbs)


def granted(role: Json) -> set[Right]:
    """What a role allows."""
    return {
        Right(group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
