"""Sets the stage: an attacker, a neighbour with something to lose, and what is known of both.

It creates Sandboxes of its own, under names that nobody else has, and removes them whatever
happens, unless they are to be kept. Reads and writes go through the given client only.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

from ringfence import names
from ringfence.advice import HOPELESS
from ringfence.api import Json
from ringfence.attack import pods
from ringfence.attack.scene import NEIGHBOUR_PORT, Plan, Scene
from ringfence.attack.waiting import CouldNotRun, until
from ringfence.kinds import POD, SANDBOX, ApiError, Container, Executor, Kind

_LISTEN: Final = f"""\
import socket
server = socket.create_server(("", {NEIGHBOUR_PORT}))
while True:
    server.accept()[0].close()
"""
_PREPARE: Final = """\
import socket
open("/work/{marker}", "w").close()
socket.create_connection(("{address}", {port}), timeout=5)
"""
PYTHON: Final = ("python3", "-I", "-S", "-")
"""Isolated: nothing that lies in the workspace is imported."""


class Objects(Protocol):
    """What the attack needs of the API server. Every method may raise ApiError."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The object, or None if there is none."""

    async def create(self, obj: Json) -> Json:
        """Creates the object; one of the same name is an error."""

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Deletes the object unless it is gone or another one has taken its name."""


@asynccontextmanager
async def stage(objects: Objects, executor: Executor, plan: Plan) -> AsyncIterator[Scene]:
    """The scene, for as long as the block lasts.

    Raises:
        CouldNotRun: Something needed does not exist or does not become ready.
    """
    base = f"attack-{secrets.token_hex(4)}"
    wanted = [_sandbox(plan, f"{base}-neighbour", ["python3", "-c", _LISTEN])]
    if plan.pod is None:
        wanted.append(_sandbox(plan, base))
    try:
        for body in wanted:
            await objects.create(body)
        attacker = await _pod(objects, plan, plan.pod or base)
        neighbour = await _pod(objects, plan, f"{base}-neighbour", own=True)
        yield await _scene(executor, plan, attacker, neighbour)
    finally:
        if not plan.keep:
            await _remove_all(objects, plan, [body["metadata"]["name"] for body in wanted])


def _sandbox(plan: Plan, name: str, command: list[str] | None = None) -> Json:
    spec: Json = {"className": plan.class_name} if plan.class_name else {}
    return {
        "apiVersion": SANDBOX.api_version,
        "kind": SANDBOX.kind,
        "metadata": {"name": name, "namespace": plan.namespace},
        "spec": spec | ({"command": command} if command else {}),
    }


async def _pod(objects: Objects, plan: Plan, name: str, *, own: bool = False) -> Json:
    """The Pod to work with, once it is ready."""
    if own or plan.pod is None:
        what = f"Sandbox {name} to be Ready"
        await until(what, plan.ready_seconds, lambda: _ready(objects, plan, name))
    pod_name = names.child_name(name)
    pod = await objects.get(POD, plan.namespace, pod_name)
    if pod is None:
        message = f"there is no Pod {pod_name} in namespace {plan.namespace}"
        raise CouldNotRun(message)
    return pod


async def _ready(objects: Objects, plan: Plan, name: str) -> str:
    """Nothing once the Sandbox is Ready, else what it says.

    Raises:
        CouldNotRun: It never will be.
    """
    ready = pods.condition(await objects.get(SANDBOX, plan.namespace, name))
    if ready.get("status") == "True":
        return ""
    said = f"{ready.get('reason', 'not seen by the operator yet')}: {ready.get('message', '')}"
    if ready.get("reason") in HOPELESS:
        message = f"Sandbox {name}: {said}"
        raise CouldNotRun(message)
    return said


async def _scene(executor: Executor, plan: Plan, attacker: Json, neighbour: Json) -> Scene:
    if not pods.has_container(attacker, plan.container):
        message = f"Pod {attacker['metadata']['name']} has no container {plan.container!r}"
        raise CouldNotRun(message)
    marker = f".marker-{secrets.token_hex(8)}"
    scene = Scene(
        attacker=_address(attacker, plan.container),
        neighbour=_address(neighbour, names.AGENT_CONTAINER),
        limits=pods.limits_of(attacker, plan.container),
        own=plan.pod is None,
        node=attacker["spec"].get("nodeName", ""),
        node_address=attacker.get("status", {}).get("hostIP", ""),
        neighbour_address=neighbour["status"]["podIP"],
        neighbour_node=neighbour["spec"]["nodeName"],
        marker=marker,
        target=plan.target,
        target_known=plan.target_known,
    )
    await _prepare(executor, scene)
    return scene


def _address(pod: Json, container: str) -> Container:
    meta = pod["metadata"]
    return Container(meta["namespace"], meta["name"], container)


async def _prepare(executor: Executor, scene: Scene) -> None:
    """Both must have Python; the neighbour gets its file and shows that its port answers."""
    program = _PREPARE.format(
        marker=scene.marker, address=scene.neighbour_address, port=NEIGHBOUR_PORT
    )
    for container, text in ((scene.neighbour, program), (scene.attacker, "")):
        done = await executor.execute(container, PYTHON, text)
        if done.code != 0:
            said = done.problem or done.stderr.strip()[-300:] or f"exit code {done.code}"
            message = f"python3 does not run in {container.pod} ({container.name}): {said}"
            raise CouldNotRun(message)


async def _remove_all(objects: Objects, plan: Plan, sandboxes: list[str]) -> None:
    problems = [p for name in sandboxes if (p := await _remove(objects, plan.namespace, name))]
    if problems:
        raise CouldNotRun("; ".join(problems))


async def _remove(objects: Objects, namespace: str, name: str) -> str:
    """Looked up first: a creation that was interrupted may have happened all the same."""
    try:
        found = await objects.get(SANDBOX, namespace, name)
        if found:
            await objects.delete(SANDBOX, namespace, name, found["metadata"]["uid"])
    except ApiError as error:
        return f"Sandbox {name} in namespace {namespace} was not removed: {error}"
    return ""
