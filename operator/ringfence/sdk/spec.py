"""The Sandbox that a few words describe. Pure; what may be asked for is decided by the operator."""

import secrets
from collections.abc import Sequence
from typing import Any, Final, TypedDict

from ringfence import names
from ringfence.sdk.errors import InvalidArgument

Json = dict[str, Any]

_LIMITS: Final = ("cpu", "memory", "pids", "disk")


class SpecOptions(TypedDict, total=False):
    """What a Sandbox may be asked to be; all of it optional.

    Attributes:
        class_name: SandboxClass; else the cluster's default.
        image: Image of the agent; else the class's.
        command: Entry point instead of the image's.
        args: Arguments instead of the image's.
        restart_policy: Always, OnFailure or Never.
        cpu: Cores, such as `500m`.
        memory: Such as `2Gi`.
        pids: Greatest number of processes.
        disk: Size of /work and /tmp together, such as `5Gi`.
        allow: Destinations, `HOST` or `HOST:PORT,PORT`; an empty list closes the network.
        role_arn: AWS role.
        labels: Labels of the Sandbox.
    """

    class_name: str | None
    image: str | None
    command: Sequence[str] | None
    args: Sequence[str] | None
    restart_policy: str | None
    cpu: str | None
    memory: str | None
    pids: int | None
    disk: str | None
    allow: Sequence[str] | None
    role_arn: str | None
    labels: dict[str, str] | None


def body(namespace: str, name: str, options: SpecOptions) -> Json:
    """The object to create."""
    metadata: Json = {"name": name, "namespace": namespace}
    if labels := options.get("labels"):
        metadata["labels"] = dict(labels)
    return {
        "apiVersion": names.API_VERSION,
        "kind": "Sandbox",
        "metadata": metadata,
        "spec": _spec(options),
    }


def new_name() -> str:
    """A name that nobody else has."""
    return f"sandbox-{secrets.token_hex(4)}"


def _spec(options: SpecOptions) -> Json:
    given: Json = {
        "className": options.get("class_name"),
        "image": options.get("image"),
        "command": _words(options.get("command")),
        "args": _words(options.get("args")),
        "restartPolicy": options.get("restart_policy"),
        "resources": {k: v for k in _LIMITS if (v := options.get(k)) is not None} or None,
    }
    if (allow := options.get("allow")) is not None:
        given["egress"] = {"allow": [_rule(text) for text in allow]}
    if role := options.get("role_arn"):
        given["identity"] = {"roleArn": role}
    return {key: value for key, value in given.items() if value is not None}


def _words(words: Sequence[str] | None) -> list[str] | None:
    return list(words) if words else None


def _rule(text: str) -> Json:
    host, colon, ports = text.partition(":")
    if not colon:
        return {"host": host}
    try:
        return {"host": host, "ports": [int(port) for port in ports.split(",")]}
    except ValueError as error:
        message = f"{text!r}: write HOST or HOST:PORT,PORT"
        raise InvalidArgument(message) from error
