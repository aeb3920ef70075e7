"""Creating a Sandbox, waiting for it, and removing it. I/O."""

import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from ringfence import names
from ringfence.advice import HOPELESS
from ringfence.client.rest import Rest
from ringfence.kinds import POD, SANDBOX, ApiError
from ringfence.sdk.errors import NotReady, Stopped
from ringfence.sdk.place import Place
from ringfence.sdk.troubles import explained, missing, ready, unavailable, why

Json = dict[str, Any]
Tell = Callable[[str], object]

READY_SECONDS: Final = 120.0
GONE_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.2
_LOOKS: Final = 4


def create(place: Place, obj: Json) -> Json:
    """Creates a Sandbox; does not wait. If that is interrupted, none is left behind.

    Raises:
        Unavailable: The API server refused it, in its words.
    """
    request = secrets.token_hex(8)
    meta = obj["metadata"]
    annotations = {**meta.get("annotations", {}), names.REQUEST_ANNOTATION: request}
    marked = obj | {"metadata": meta | {"annotations": annotations}}
    try:
        with place.rest() as rest:
            return rest.create(marked)
    except ApiError as error:
        if not error.status:
            _take_back(place, request)
        raise unavailable(error) from error
    except BaseException:
        _take_back(place, request)
        raise


def _take_back(place: Place, request: str) -> None:
    """Without an answer it may be there all the same; one that is somebody else's stays."""
    try:
        with place.rest() as rest:
            for _ in range(_LOOKS):  # the API server may still be at it
                meta = (rest.get(SANDBOX, place.namespace, place.name) or {}).get("metadata", {})
                if meta.get("annotations", {}).get(names.REQUEST_ANNOTATION) == request:
                    rest.delete(SANDBOX, place.namespace, place.name, meta["uid"])
                    return
                time.sleep(_POLL_SECONDS)
    except ApiError:
        return  # who cannot be reached cannot be asked; the first error is the one to tell


def wait_ready(place: Place, seconds: float = READY_SECONDS, tell: Tell = lambda _: None) -> Json:
    """The Sandbox once it is Ready; `tell` hears what it says meanwhile.

    Raises:
        NotFound: There is none, or it was deleted.
        NotReady: It never will be, or not in time.
    """
    until = time.monotonic() + seconds
    try:
        with place.rest() as rest:
            while True:
                found, missing_yet = _look(rest, place, tell)
                if not missing_yet:
                    return found
                if time.monotonic() > until:
                    message = f"Sandbox {place.name} is not Ready after {seconds:g} s: "
                    raise NotReady(message + missing_yet)
                pause(place)
    except ApiError as error:
        raise explained(place, error) from error


def _look(rest: Rest, place: Place, tell: Tell) -> tuple[Json, str]:
    """The Sandbox, and why it is not Ready; nothing if it is."""
    found = rest.get(SANDBOX, place.namespace, place.name)
    if found is None:
        raise missing(place)
    condition = ready(found)
    if condition.get("status") == "True":
        return found, ""
    if condition.get("reason") in HOPELESS:
        message = f"Sandbox {place.name} cannot start: {why(found)}"
        raise NotReady(message)
    tell(_stage(condition))
    return found, why(found)


def remove(place: Place, *, wait: bool = True, seconds: float = GONE_SECONDS) -> bool:
    """Deletes a Sandbox; whether there was one.

    Raises:
        Unavailable: The API server refused.
        NotReady: It is still there after `seconds`.
    """
    try:
        with place.rest() as rest:
            found = rest.get(SANDBOX, place.namespace, place.name)
            if found is None:
                return False
            rest.delete(SANDBOX, place.namespace, place.name, found["metadata"]["uid"])
    except ApiError as error:
        raise unavailable(error) from error
    if wait:
        wait_gone(place, seconds)
    return True


def wait_gone(place: Place, seconds: float = GONE_SECONDS) -> None:
    """Returns once neither a Sandbox that is being deleted nor its Pod is there any more.

    Raises:
        Unavailable: The API server does not say.
        NotReady: They are still there after `seconds`.
    """
    until = time.monotonic() + seconds
    try:
        with place.rest() as rest:
            while left := _left(rest, place):
                if time.monotonic() > until:
                    message = f"{left} is still there after {seconds:g} s: kubectl describe {left}"
                    raise NotReady(message)
                pause(place)
    except ApiError as error:
        raise unavailable(error) from error


def pause(place: Place) -> None:
    """Between two looks.

    Raises:
        Stopped: Somebody asked for it.
    """
    if place.wakeup is not None and place.wakeup.stopped:
        message = "stopped"
        raise Stopped(message)
    time.sleep(_POLL_SECONDS)


def _left(rest: Rest, place: Place) -> str:
    """What is left of a Sandbox; another one that took its name does not count."""
    found = rest.get(SANDBOX, place.namespace, place.name)
    if found is not None:
        return f"sandbox/{place.name}" if found["metadata"].get("deletionTimestamp") else ""
    pod = rest.get(POD, place.namespace, place.agent.pod)
    labels = (pod or {}).get("metadata", {}).get("labels", {})
    return f"pod/{place.agent.pod}" if names.SANDBOX_UID_LABEL in labels else ""


def _stage(condition: Json) -> str:
    reason, message = condition.get("reason"), condition.get("message")
    return f"{reason}: {message}" if reason else "waiting for the operator"
