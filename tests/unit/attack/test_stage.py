"""The stage is set by Sandboxes of our own, and nothing of it is left behind."""

import asyncio

import pytest

from attack.fakes import Cluster, Programs, pod, refuse
from ringfence.api import Json
from ringfence.attack.scene import Plan, Scene
from ringfence.attack.stage import stage
from ringfence.attack.waiting import CouldNotRun
from ringfence.kinds import POD, SANDBOX, ApiError, Finished

PLAN = Plan(namespace="agents", ready_seconds=0.05)


async def scene_of(cluster: Cluster, programs: Programs, plan: Plan = PLAN) -> Scene:
    async with stage(cluster, programs, plan) as scene:
        return scene


async def test_attacker_and_neighbour_are_made_and_removed() -> None:
    cluster = Cluster()
    async with stage(cluster, Programs(), PLAN) as scene:
        assert len(cluster.sandboxes()) == 2
        assert scene.own
        assert scene.attacker.pod != scene.neighbour.pod
    assert cluster.sandboxes() == []


async def test_two_runs_share_no_name() -> None:
    cluster = Cluster()
    await scene_of(cluster, Programs())
    await scene_of(cluster, Programs())
    assert len(set(cluster.made)) == 4


async def test_kept_sandboxes_stay() -> None:
    cluster = Cluster()
    await scene_of(cluster, Programs(), Plan(namespace="agents", keep=True))
    assert len(cluster.sandboxes()) == 2


@pytest.mark.parametrize("step", range(4))
async def test_interruption_at_any_step_leaves_nothing(step: int) -> None:
    cluster, programs = Cluster(), Programs()
    calls = iter(range(99))

    def interrupt(_verb: object, _kind: object = None) -> ApiError | None:
        if next(calls) == step + 1:
            raise asyncio.CancelledError
        return None

    cluster.fault = interrupt
    with pytest.raises(asyncio.CancelledError):
        await scene_of(cluster, programs)
    assert cluster.sandboxes() == []


async def test_creation_whose_answer_was_lost_is_removed_too() -> None:
    cluster = Cluster()
    create = cluster.create

    async def lost(obj: Json) -> Json:
        await create(obj)
        raise ApiError(0, "Timeout", "no answer")

    cluster.create = lost  # type: ignore[method-assign]
    with pytest.raises(ApiError):
        await scene_of(cluster, Programs())
    assert cluster.made
    assert cluster.sandboxes() == []


async def test_what_could_not_be_removed_is_named() -> None:
    cluster = Cluster()
    cluster.fault = refuse("delete")
    with pytest.raises(CouldNotRun, match=r"attack-\w+ in namespace agents was not removed: 403"):
        await scene_of(cluster, Programs())


async def test_class_is_asked_for_by_both() -> None:
    cluster = Cluster()
    await scene_of(cluster, Programs(), Plan(namespace="agents", class_name="strict"))
    assert {spec["className"] for spec in cluster.specs} == {"strict"}


async def test_sandbox_that_can_never_run_is_not_waited_for() -> None:
    cluster = Cluster()
    cluster.ready = {"status": "False", "reason": "ClassNotFound", "message": "no class x"} | {
        "type": "Ready"
    }
    with pytest.raises(CouldNotRun, match="ClassNotFound: no class x"):
        await scene_of(cluster, Programs(), Plan(namespace="agents", ready_seconds=60))
    assert cluster.sandboxes() == []


async def test_sandbox_that_is_not_ready_in_time_says_why() -> None:
    cluster = Cluster()
    cluster.ready = {
        "type": "Ready",
        "status": "False",
        "reason": "Unschedulable",
        "message": "cpu",
    }
    with pytest.raises(CouldNotRun, match="to be Ready; last: Unschedulable: cpu"):
        await scene_of(cluster, Programs())


async def test_existing_pod_is_attacked_and_left_alone() -> None:
    cluster = Cluster()
    cluster.put(POD, pod("agents", "plain"))
    async with stage(cluster, Programs(), Plan(namespace="agents", pod="plain")) as scene:
        assert scene.attacker.pod == "plain"
        assert not scene.own
        assert len(cluster.sandboxes()) == 1  # the neighbour
    assert (POD, "agents", "plain") in cluster.objects


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan(namespace="agents", pod="none"), "there is no Pod none"),
        (Plan(namespace="agents", pod="plain", container="main"), "no container 'main'"),
    ],
)
async def test_what_is_to_be_attacked_must_exist(plan: Plan, message: str) -> None:
    cluster = Cluster()
    cluster.put(POD, pod("agents", "plain"))
    with pytest.raises(CouldNotRun, match=message):
        await scene_of(cluster, Programs(), plan)
    assert cluster.sandboxes() == []


async def test_image_without_python_ends_the_run_before_any_row() -> None:
    programs = Programs()

    async def no_python(*_: object) -> Finished:
        return Finished("", "", None, "exec: python3: not found")

    programs.execute = no_python  # type: ignore[assignment, method-assign]
    with pytest.raises(CouldNotRun, match=r"python3 does not run in .*not found"):
        await scene_of(Cluster(), programs)


async def test_neighbour_has_a_file_and_an_open_port_before_the_attack() -> None:
    programs = Programs()
    scene = await scene_of(Cluster(), programs)
    assert [(c.pod, what) for c, what in programs.ran] == [
        (scene.neighbour.pod, "prepare"),
        (scene.attacker.pod, "prepare"),
    ]


async def test_probes_are_told_limits_and_addresses_only() -> None:
    scene = await scene_of(Cluster(), Programs())
    assert set(scene.for_probes()) == {
        *("pids", "memory", "disk", "own", "spinSeconds", "target", "targetKnown"),
        *("node", "neighbour", "neighbourPort", "marker"),
    }


async def test_sandboxes_are_addressed_as_a_user_would() -> None:
    cluster = Cluster()
    async with stage(cluster, Programs(), PLAN):
        (found,) = (o for k, o in cluster.objects.items() if k[0] == SANDBOX and "neigh" in k[2])
    assert found["spec"]["command"][:2] == ["python3", "-c"]
    assert set(found["metadata"]) >= {"name", "namespace"}
    assert "labels" not in found["metadata"]
