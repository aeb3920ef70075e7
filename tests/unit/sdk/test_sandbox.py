"""A Sandbox's life through the SDK, and the asynchronous twin."""

import asyncio
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import pytest

from local_cluster import LocalCluster, sandbox
from ringfence import sdk
from ringfence.advice import known
from ringfence.api import Json, SandboxSpec
from ringfence.sdk import AsyncSandbox, NotFound, NotReady, Sandbox, Unavailable, spec
from ringfence.sdk.aio import AsyncCommands, AsyncFiles
from ringfence.sdk.commands import Commands
from ringfence.sdk.errors import CommandTimedOut, InvalidArgument
from ringfence.sdk.files import Files
from ringfence.status import Reason
from sdk.marked import running, wait_running


@pytest.fixture
def config(cluster: LocalCluster, tmp_path: Path) -> str:
    return str(cluster.kubeconfig(tmp_path))


@pytest.fixture
def operator(cluster: LocalCluster) -> Iterator[Json]:
    """Makes every Sandbox what the given condition says, as the operator would."""
    condition: Json = {"type": "Ready", "status": "True", "reason": "PodReady", "message": "runs"}
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.02):
            for (plural, _, _), obj in list(cluster.api.objects.items()):
                if plural == "sandboxes" and "status" not in obj and condition:
                    cluster.api.put("sandboxes", obj | {"status": {"conditions": [condition]}})

    thread = threading.Thread(target=work)
    thread.start()
    yield condition
    over.set()
    thread.join()


def names(cluster: LocalCluster) -> list[str]:
    return [name for kind, _, name in cluster.api.objects if kind == "sandboxes"]


def test_block_removes_what_it_made(cluster: LocalCluster, config: str, operator: Json) -> None:
    assert operator
    with Sandbox.create(kubeconfig=config, memory="1Gi", labels={"a": "b"}) as made:
        obj = cluster.api.objects["sandboxes", "agents", made.name]
        assert obj["spec"] == {"resources": {"memory": "1Gi"}}
        assert obj["metadata"]["labels"] == {"a": "b"}
    assert names(cluster) == ["demo"]


def test_kept_and_connected_ones_outlive_the_block(
    cluster: LocalCluster, config: str, operator: Json
) -> None:
    assert operator
    with Sandbox.create("mine", kubeconfig=config, keep=True):
        pass
    with Sandbox.connect("mine", kubeconfig=config) as found:
        assert found.status()["conditions"]
    assert [one.name for one in Sandbox.list(kubeconfig=config)] == ["demo", "mine"]
    assert found.kill()
    assert not found.kill()
    assert names(cluster) == ["demo"]


def test_hopeless_sandbox_is_told_at_once_and_removed(
    cluster: LocalCluster, config: str, operator: Json
) -> None:
    operator |= {"status": "False", "reason": "ClassNotFound", "message": "no class"}
    with pytest.raises(NotReady, match=r"ClassNotFound: no class \(name one that exists"):
        Sandbox.create(kubeconfig=config)
    assert names(cluster) == ["demo"]


def test_sandbox_that_is_not_ready_in_time_is_removed(
    cluster: LocalCluster, config: str, operator: Json
) -> None:
    operator |= {"status": "False", "reason": "Unschedulable", "message": "no node"}
    told: list[str] = []
    with pytest.raises(NotReady, match=r"not Ready after 0\.5 s: Unschedulable"):
        Sandbox.create(kubeconfig=config, timeout=0.5, on_progress=told.append)
    assert "Unschedulable: no node" in told
    assert names(cluster) == ["demo"]


def test_refused_creation_is_told(cluster: LocalCluster, config: str) -> None:
    with pytest.raises(Unavailable, match="AlreadyExists"):
        Sandbox.create("demo", kubeconfig=config)
    assert names(cluster) == ["demo"]


def test_missing_sandbox_is_not_found(config: str) -> None:
    with pytest.raises(NotFound, match="no Sandbox none in namespace agents"):
        Sandbox.connect("none", kubeconfig=config)


def test_missing_cluster_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no cluster to talk to"):
        Sandbox.connect("demo", kubeconfig=str(tmp_path / "none"))


def test_every_option_is_a_field_that_the_api_knows() -> None:
    options = spec.SpecOptions(
        class_name="c",
        image="i",
        command=["a"],
        args=["b"],
        restart_policy="Never",
        cpu="1",
        memory="1Gi",
        pids=64,
        disk="1Gi",
        allow=["example.com", "example.org:443,8443"],
        role_arn="arn:aws:iam::123456789012:role/a",
    )
    body = spec.body("n", "x", options)
    found = SandboxSpec.model_validate(body["spec"])
    assert found.egress is not None
    assert [(rule.host, rule.ports) for rule in found.egress.allow] == [
        ("example.com", (443,)),
        ("example.org", (443, 8443)),
    ]
    assert set(options) | {"labels"} == set(get_type_hints(spec.SpecOptions))


def test_closed_network_is_not_no_wish() -> None:
    assert spec.body("n", "x", {"allow": []})["spec"] == {"egress": {"allow": []}}
    assert spec.body("n", "x", {"allow": None})["spec"] == {}
    with pytest.raises(InvalidArgument, match="HOST:PORT"):
        spec.body("n", "x", {"allow": ["a:b"]})


def test_every_reason_of_the_operator_has_advice_or_needs_none() -> None:
    assert known() == set(Reason)


def test_every_public_name_is_there() -> None:
    assert all(getattr(sdk, name) for name in sdk.__all__)
    with pytest.raises(AttributeError):
        _ = sdk.nothing


@pytest.mark.parametrize(
    ("one", "other"), [(Commands, AsyncCommands), (Files, AsyncFiles), (Sandbox, AsyncSandbox)]
)
def test_both_twins_have_the_same_methods(one: type, other: type) -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(one) - public(other) <= {"list"}
    assert public(other) <= public(one)


async def test_async_block_creates_runs_and_removes(
    cluster: LocalCluster, config: str, operator: Json
) -> None:
    assert operator
    told: list[str] = []

    async def tell(text: str) -> None:
        await asyncio.sleep(0.01)
        told.append(text)

    async with await AsyncSandbox.create(kubeconfig=config, on_progress=told.append) as made:
        assert (await made.commands.run("echo hi", on_stdout=tell)).stdout == "hi\n"
        assert told[-1] == "hi\n"
        await made.files.write("a", b"x")
        assert await made.files.read("a") == "x"
        assert await made.files.read("a", "bytes") == b"x"
        assert await made.files.exists("a")
        await made.files.make_dir("d")
        await made.files.rename("a", "d/b")
        assert [info.name for info in await made.files.list("d")] == ["b"]
        await made.files.remove("d")
        assert (await made.status())["conditions"]
    assert names(cluster) == ["demo"]


async def test_async_copies(cluster: LocalCluster, config: str, tmp_path: Path) -> None:
    found = await AsyncSandbox.connect("demo", kubeconfig=config)
    (tmp_path / "f").write_text("x")
    await found.files.upload(tmp_path / "f", "g")
    assert (cluster.work / "g").read_text() == "x"
    assert (await found.files.download("g", tmp_path / "h")).files == 1


async def test_cancelled_task_is_over_when_its_command_is(config: str) -> None:
    number = f"63.{secrets.randbelow(10**9):09}"
    found = await AsyncSandbox.connect("demo", kubeconfig=config)
    task = asyncio.create_task(found.commands.run(f"setsid sleep {number} & sleep {number}"))
    await asyncio.to_thread(wait_running, number, 2)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # twice: an impatient user
    with pytest.raises(asyncio.CancelledError):
        await task
    assert running(number) == []


async def test_cancelled_creation_leaves_no_sandbox(
    cluster: LocalCluster, config: str, operator: Json
) -> None:
    operator.clear()
    task = asyncio.create_task(AsyncSandbox.create(kubeconfig=config))
    while names(cluster) == ["demo"]:  # noqa: ASYNC110 - the server is in another thread
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names(cluster) == ["demo"]


async def test_time_of_an_async_command_is_bounded(config: str) -> None:
    found = await AsyncSandbox.connect("demo", kubeconfig=config)
    with pytest.raises(CommandTimedOut):
        await found.commands.run("sleep 30", timeout=0.5)


def test_sandbox_without_a_status_is_waited_for(cluster: LocalCluster, config: str) -> None:
    cluster.api.put("sandboxes", {k: v for k, v in sandbox("new").items() if k != "status"})
    assert Sandbox.connect("new", kubeconfig=config).status() == {}
