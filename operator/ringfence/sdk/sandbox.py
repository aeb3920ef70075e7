"""A Sandbox as an object. I/O."""

from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

from ringfence.client.access import Access, access
from ringfence.kinds import SANDBOX, ApiError
from ringfence.sdk import lifecycle, spec
from ringfence.sdk.commands import Commands
from ringfence.sdk.files import Files
from ringfence.sdk.place import Place
from ringfence.sdk.troubles import missing, unavailable

Json = dict[str, Any]


class ConnectOptions(TypedDict, total=False):
    """Which cluster; as kubectl has it unless something is said.

    Attributes:
        namespace: Else the context's.
        kubeconfig: Path; else KUBECONFIG, ~/.kube/config, the Pod's own account.
        context: Else the current one.
    """

    namespace: str | None
    kubeconfig: str | None
    context: str | None


class CreateOptions(ConnectOptions, spec.SpecOptions, total=False):
    """What to create, where, and how long to wait.

    Attributes:
        timeout: Seconds to wait until it is Ready.
        keep: Whether it outlives the `with` block.
        on_progress: Told what the Sandbox says while it starts.
    """

    timeout: float
    keep: bool
    on_progress: lifecycle.Tell


class Sandbox:
    """One Sandbox.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        commands: Runs commands in it.
        files: Its files.
    """

    def __init__(self, place: Place, *, owned: bool) -> None:
        self._place = place
        self._owned = owned
        self.namespace = place.namespace
        self.name = place.name
        self.commands = Commands(place)
        self.files = Files(place)

    @classmethod
    def create(cls, name: str | None = None, **options: Unpack[CreateOptions]) -> Self:
        """Creates a Sandbox and waits until it is Ready. One that does not get there is removed.

        Args:
            name: Else one that nobody has.
            options: See CreateOptions and spec.SpecOptions.

        Raises:
            NotReady: It did not become Ready; says why.
            Unavailable: The cluster cannot be reached, or refused it.
        """
        place = place_of(name or spec.new_name(), options)
        create(place, options)
        return cls(place, owned=not options.get("keep", False))

    @classmethod
    def connect(cls, name: str, **options: Unpack[ConnectOptions]) -> Self:
        """A Sandbox that exists. The `with` block does not remove it.

        Raises:
            NotFound: There is none of that name.
            Unavailable: The cluster cannot be reached, or does not permit it.
        """
        sandbox = cls(place_of(name, options), owned=False)
        sandbox.status()
        return sandbox

    @classmethod
    def list(cls, **options: Unpack[ConnectOptions]) -> "list[Self]":
        """The Sandboxes of a namespace.

        Raises:
            Unavailable: The cluster cannot be reached, or does not permit it.
        """
        place = place_of("", options)
        try:
            with place.rest() as rest:
                found = rest.list(SANDBOX, place.namespace)
        except ApiError as error:
            raise unavailable(error) from error
        names = sorted(obj["metadata"]["name"] for obj in found)
        return [cls(place._replace(name=name), owned=False) for name in names]

    def status(self) -> Json:
        """What the operator says about it: `isolation`, `conditions` and the rest.

        Raises:
            NotFound: It is gone.
            Unavailable: The cluster cannot be reached, or does not permit it.
        """
        return status(self._place)

    def kill(self, *, wait: bool = True) -> bool:
        """Deletes it with all that is in it; whether it was there.

        Raises:
            Unavailable: The cluster cannot be reached, or refused it.
        """
        return lifecycle.remove(self._place, wait=wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._owned:
            self.kill(wait=False)


def create(place: Place, options: CreateOptions) -> None:
    """Creates a Sandbox and waits; whatever goes wrong, or Ctrl-C, leaves none behind.

    Raises:
        NotReady: It did not become Ready; says why.
        Unavailable: The cluster cannot be reached, or refused it.
    """
    lifecycle.create(place, spec.body(place.namespace, place.name, options))
    try:
        lifecycle.wait_ready(
            place,
            options.get("timeout", lifecycle.READY_SECONDS),
            options.get("on_progress", lambda _: None),
        )
    except BaseException:
        if not options.get("keep", False):
            lifecycle.remove(place._replace(wakeup=None), wait=False)
        raise


def status(place: Place) -> Json:
    """See Sandbox.status."""
    try:
        with place.rest() as rest:
            found = rest.get(SANDBOX, place.namespace, place.name)
    except ApiError as error:
        raise unavailable(error) from error
    if found is None:
        raise missing(place)
    told: Json = found.get("status") or {}
    return told


def reach(options: ConnectOptions) -> Access:
    """Access to the cluster.

    Raises:
        Unavailable: There is none.
    """
    try:
        return access(options.get("kubeconfig"), options.get("context"))
    except ApiError as error:
        raise unavailable(error) from error


def place_of(name: str, options: ConnectOptions) -> Place:
    """Where a Sandbox of that name is.

    Raises:
        Unavailable: There is no cluster.
    """
    found = reach(options)
    return Place(found, options.get("namespace") or found.namespace, name)
