"""The kinds the operator touches, where the API server keeps them, and what an API client offers.

Pure: reconcile and its tests depend on the Protocol here and never on the client library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ringfence import names

if TYPE_CHECKING:  # the models are heavy: the command line starts without them
    from collections.abc import Mapping, Sequence

    from ringfence.api import Json


class Kind(NamedTuple):
    """A kind, and how its objects are addressed."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool


SANDBOX: Final = Kind(names.API_VERSION, "Sandbox", "sandboxes", namespaced=True)
SANDBOX_CLASS: Final = Kind(names.API_VERSION, "SandboxClass", "sandboxclasses", namespaced=False)
SANDBOX_NODE: Final = Kind(names.API_VERSION, "SandboxNode", "sandboxnodes", namespaced=False)
SERVICE_ACCOUNT: Final = Kind("v1", "ServiceAccount", "serviceaccounts", namespaced=True)
NETWORK_POLICY: Final = Kind(
    "networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", namespaced=True
)
CONFIG_MAP: Final = Kind("v1", "ConfigMap", "configmaps", namespaced=True)
POD: Final = Kind("v1", "Pod", "pods", namespaced=True)
NODE: Final = Kind("v1", "Node", "nodes", namespaced=False)
EVENT: Final = Kind("events.k8s.io/v1", "Event", "events", namespaced=True)

CHILDREN: Final = (SERVICE_ACCOUNT, NETWORK_POLICY, CONFIG_MAP, POD)
"""What a Sandbox becomes, the Pod last."""

ALL: Final = (SANDBOX, SANDBOX_CLASS, SANDBOX_NODE, *CHILDREN, EVENT)
_BY_NAME: Final = {(kind.api_version, kind.kind): kind for kind in ALL}


def kind_of(obj: Json) -> Kind:
    """The Kind of an object that carries apiVersion and kind.

    Raises:
        ValueError: The operator does not write such objects.
    """
    found = _BY_NAME.get((obj["apiVersion"], obj["kind"]))
    if found is None:
        message = f"{obj['apiVersion']} {obj['kind']} is no kind that the operator writes"
        raise ValueError(message)
    return found


def collection_path(kind: Kind, namespace: str = "") -> str:
    """URL path of all objects of a kind, or of those in one namespace."""
    root = "/apis" if "/" in kind.api_version else "/api"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}/{kind.api_version}{scope}/{kind.plural}"


def object_path(kind: Kind, namespace: str, name: str) -> str:
    """URL path of one object; the namespace of a cluster-scoped kind is left out."""
    last = name if name.replace("-", "").replace(".", "").encode().isalnum() else _quoted(name)
    return f"{collection_path(kind, namespace if kind.namespaced else '')}/{last}"


def _quoted(name: str) -> str:
    """Names that the API server has accepted need none of this, and no import."""
    from urllib.parse import quote  # noqa: PLC0415

    return quote(name, safe="")


class ApiError(Exception):
    """The API server refused a call, or did not answer (status 0).

    Attributes:
        status: HTTP status; 0 if there was no answer.
        reason: CamelCase word of the Status object, such as Conflict.
        message: What the API server says, for people.
        causes: details.causes of the Status object: which field, and why.
        retry_after: Seconds that the server asks to wait, if it does.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        causes: list[Json] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes or []
        self.retry_after = retry_after


class Container(NamedTuple):
    """A container, as exec addresses it."""

    namespace: str
    pod: str
    name: str


class Finished(NamedTuple):
    """How a command in a container ended.

    Attributes:
        stdout: What it wrote, cut to a length that no hostile program can exceed.
        stderr: The same.
        code: Its exit status; None if it never started, or its container ended first.
        problem: Why there is no exit status.
    """

    stdout: str
    stderr: str
    code: int | None
    problem: str = ""


class Executor(Protocol):
    """What runs commands in containers."""

    async def execute(self, container: Container, argv: Sequence[str], stdin: str = "") -> Finished:
        """Runs a command to its end. Raises ApiError if it is not even tried."""


class Api(Protocol):
    """What reconcile needs of the API server. Every method may raise ApiError."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The object, or None if there is none."""

    async def list(self, kind: Kind, *, labels: Mapping[str, str] | None = None) -> list[Json]:
        """All objects of a kind, in all namespaces."""

    async def apply(self, obj: Json) -> Json:
        """Creates or corrects the object by server-side apply; what it is afterwards."""

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Deletes the object unless it is gone or another one has taken its name."""

    async def replace_status(self, obj: Json) -> Json:
        """Replaces a Sandbox's status if nobody changed it since `obj` was read."""

    async def create_event(self, event: Json) -> None:
        """Writes an Event; one that exists already is left as it is."""
