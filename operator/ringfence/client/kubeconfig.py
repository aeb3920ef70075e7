"""What a kubeconfig says, merged and chosen from as kubectl does it. Pure.

Files are merged entry by entry: the first one that names a cluster, a user or a context wins.
Relative paths are relative to the file that they stand in.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

Json = dict[str, Any]

_LISTS: Final = {"clusters": "cluster", "users": "user", "contexts": "context"}
_PATHS: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


class Unusable(Exception):  # noqa: N818 - the name is read as a verdict
    """A kubeconfig that names no cluster, or names one in a way that is not understood."""


class Chosen(NamedTuple):
    """One context, resolved.

    Attributes:
        cluster: Its `cluster`: server, certificate authority.
        user: Its `user`: credentials, or how to get them.
        namespace: Where objects are looked for if nobody says.
    """

    cluster: Json
    user: Json
    namespace: str


def files(explicit: str | None, environment: Mapping[str, str], home: str) -> list[str]:
    """The files that count: the one that was named, KUBECONFIG's list, or the usual one."""
    if explicit:
        return [explicit]
    listed = [part for part in environment.get("KUBECONFIG", "").split(":") if part]
    return listed or [f"{home}/.kube/config"]


def merge(documents: Sequence[tuple[str, Json]]) -> Json:
    """One kubeconfig of many, each with the directory that it is in."""
    merged: Json = {"current-context": "", **{plural: {} for plural in _LISTS}}
    for directory, document in documents:
        merged["current-context"] = merged["current-context"] or document.get("current-context")
        for plural, singular in _LISTS.items():
            for entry in document.get(plural) or []:
                value = _absolute(entry.get(singular) or {}, directory)
                merged[plural].setdefault(entry.get("name"), value)
    return merged


def _absolute(value: Json, directory: str) -> Json:
    relative = [key for key in _PATHS if value.get(key) and not value[key].startswith("/")]
    return value | {key: f"{directory}/{value[key]}" for key in relative}


def choose(merged: Json, context: str | None) -> Chosen:
    """The named context, or else the current one.

    Raises:
        Unusable: There is no such context, cluster or user.
    """
    name = context or merged["current-context"]
    if not name:
        message = "no context is current: choose one with --context"
        raise Unusable(message)
    chosen = _entry(merged, "contexts", name)
    cluster = _entry(merged, "clusters", chosen.get("cluster"))
    user = _entry(merged, "users", chosen["user"]) if chosen.get("user") else {}
    if not cluster.get("server"):
        message = f"cluster {chosen['cluster']!r} has no server"
        raise Unusable(message)
    return Chosen(cluster, user, chosen.get("namespace") or "default")


def _entry(merged: Json, plural: str, name: str | None) -> Json:
    found: Json | None = merged[plural].get(name)
    if found is None:
        known = ", ".join(sorted(map(str, merged[plural]))) or "none"
        message = f"no {_LISTS[plural]} {name!r}; there are: {known}"
        raise Unusable(message)
    return found
