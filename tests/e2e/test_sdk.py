"""The SDK on a real cluster: the examples of docs/sdk.md as they stand, and what they promise."""

import asyncio
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

import product
import support
from cluster import Cluster
from command_line import CommandLine, with_sandbox
from ringfence.sdk import AsyncSandbox, CommandTimedOut, NotFound, Sandbox

PAGE = (product.REPOSITORY / "docs" / "sdk.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def cli(ringfence: Cluster) -> Iterator[CommandLine]:
    with with_sandbox(ringfence) as found:
        yield found


@pytest.fixture
def there(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> str:
    """The namespace of a Sandbox `demo`, with the cluster as a user finds it."""
    monkeypatch.setenv("KUBECONFIG", str(cli.cluster.kubeconfig))
    return cli.namespace


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_of_the_documentation_runs(
    ringfence: Cluster,
    there: str,
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    (tmp_path / "project").mkdir()
    before = _names(ringfence, there)
    program = EXAMPLES[number].replace('namespace="agents"', f'namespace="{there}"')
    exec(compile(program, f"example {number}", "exec"), {"__name__": "example"})  # noqa: S102
    support.poll("what the example made to be gone", lambda: _names(ringfence, there) == before)


def _names(cluster: Cluster, namespace: str) -> list[str]:
    return [obj["metadata"]["name"] for obj in support.items(cluster, "sandbox", namespace)]


def test_block_removes_what_it_made_and_only_that(ringfence: Cluster, there: str) -> None:
    with Sandbox.create(namespace=there, pids=64) as made:
        assert made.status()["phase"] == "Running"
        name = made.name
    with Sandbox.connect("demo", namespace=there) as found:
        assert found.commands.run("echo hi").stdout == "hi\n"
    assert {one.name for one in Sandbox.list(namespace=there)} >= {"demo"}
    support.poll("no Sandbox", lambda: not support.get(ringfence, "sandbox", there, name))
    assert support.get(ringfence, "sandbox", there, "demo")


def test_sandbox_that_is_not_there_is_not_found(there: str) -> None:
    with pytest.raises(NotFound):
        Sandbox.connect("none", namespace=there)


async def test_many_commands_at_once_do_not_mix_their_output(there: str) -> None:
    sandbox = await AsyncSandbox.connect("demo", namespace=there)
    done = await asyncio.gather(*(sandbox.commands.run(["echo", str(n)]) for n in range(20)))
    assert [result.stdout for result in done] == [f"{n}\n" for n in range(20)]


async def test_cancelled_task_leaves_no_process_behind(cli: CommandLine, there: str) -> None:
    number = f"705.{secrets.randbelow(10**9):09}"
    sandbox = await AsyncSandbox.connect("demo", namespace=there)
    task = asyncio.create_task(sandbox.commands.run(f"setsid sleep {number} & sleep {number}"))
    for _ in range(100):
        if len(await asyncio.to_thread(cli.processes, "demo", f"sleep {number}")) >= 3:
            break
        await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(cli.processes, "demo", number) == []


async def test_timeout_of_the_sdk_and_of_asyncio_both_end_the_command(
    cli: CommandLine, there: str
) -> None:
    number = f"706.{secrets.randbelow(10**9):09}"
    sandbox = await AsyncSandbox.connect("demo", namespace=there)
    with pytest.raises(CommandTimedOut):
        await sandbox.commands.run(["sleep", number], timeout=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await sandbox.commands.run(["sleep", number])
    assert await asyncio.to_thread(cli.processes, "demo", number) == []


def test_no_port_is_opened_for_the_sdk(cli: CommandLine, there: str) -> None:
    """It works with the right to exec alone, and the Pod's policy lets nothing in."""
    policy = support.get(cli.cluster, "networkpolicy", there, "demo")
    assert policy is not None
    assert "Ingress" in policy["spec"]["policyTypes"]
    assert not policy["spec"].get("ingress")
