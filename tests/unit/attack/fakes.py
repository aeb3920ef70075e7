"""A cluster in memory for the attack: Sandboxes are ready at once, programs say what is wanted."""

import asyncio
import json
from collections.abc import Callable, Sequence

from attack.reports import HELD
from fake_kube import FakeKube
from ringfence import names
from ringfence.api import Json
from ringfence.attack.model import Observed
from ringfence.attack.neighbour import SAMPLER
from ringfence.attack.rows import ROWS
from ringfence.kinds import NODE, POD, SANDBOX, ApiError, Container, Finished, Kind

NODE_NAME = "node-1"


def pod(namespace: str, name: str, *, node: str = NODE_NAME) -> Json:
    """A Pod as the operator makes it, as far as the attack reads it."""
    limits = {"memory": "2Gi", "ephemeral-storage": "5Gi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "nodeName": node,
            "initContainers": [{"name": "egress-proxy"}],
            "containers": [{"name": "agent", "resources": {"limits": limits}}],
        },
        "status": {
            "podIP": "10.244.0.7",
            "hostIP": "10.77.0.11",
            "containerStatuses": [{"name": "agent", "state": {"running": {}}}],
        },
    }


def node(*, ready: str = "True", pressure: str = "False") -> Json:
    conditions = [
        {"type": "Ready", "status": ready},
        {"type": "MemoryPressure", "status": pressure},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE_NAME},
        "status": {"conditions": conditions},
    }


class Cluster(FakeKube):
    """Implements ringfence.attack.stage.Objects."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[str] = []
        self.specs: list[Json] = []
        self.ready: Json = {"type": "Ready", "status": "True", "reason": "PodReady"}
        self.put(NODE, node())

    async def create(self, obj: Json) -> Json:
        created = await super().create(obj)
        name = obj["metadata"]["name"]
        self.made.append(name)
        self.specs.append(obj["spec"])
        stored = self.objects[SANDBOX, obj["metadata"]["namespace"], name]
        stored["status"] = {"conditions": [self.ready]}
        self.put(POD, pod(obj["metadata"]["namespace"], names.child_name(name)))
        return created

    def sandboxes(self) -> list[str]:
        return [name for kind, _, name in self.objects if kind == SANDBOX]


Answer = Observed | Finished | ApiError


class Programs:
    """Implements ringfence.kinds.Executor: knows each program by its text."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = dict(HELD)
        self.samples = [0.004] * 10
        self.marker_kept = True
        self.ran: list[tuple[Container, str]] = []
        self.before: Callable[[str], None] = lambda _: None
        self.seconds = 0.0

    async def execute(self, container: Container, argv: Sequence[str], stdin: str = "") -> Finished:
        assert list(argv) == ["python3", "-I", "-S", "-"]
        what = self._what(stdin)
        self.before(what)
        self.ran.append((container, what))
        if what == "sampler":
            await asyncio.sleep(0)
            return Finished(json.dumps(self.samples) + "\n", "", 0)
        if what == "marker":
            return Finished("", "", 0 if self.marker_kept else 1)
        if what == "prepare":
            return Finished("", "", 0)
        await asyncio.sleep(self.seconds)
        return self._answer(self.answers[what])

    @staticmethod
    def _what(stdin: str) -> str:
        for row in ROWS:
            module, _, function = row.probe.partition(".")
            if f"probes.{module} import {function} as probe" in stdin:
                return row.name
        if stdin == SAMPLER:
            return "sampler"
        return "marker" if "os.stat" in stdin else "prepare"

    @staticmethod
    def _answer(answer: Answer) -> Finished:
        if isinstance(answer, ApiError):
            raise answer
        if isinstance(answer, Finished):
            return answer
        return Finished(f"noise\n{answer.model_dump_json(by_alias=True)}\n", "", 0)


def refuse(*verbs: str, kind: Kind = SANDBOX) -> Callable[[str, Kind], ApiError | None]:
    """A fault: these calls are forbidden."""

    def fault(verb: str, called: Kind) -> ApiError | None:
        if verb in verbs and called == kind:
            return ApiError(403, "Forbidden", f"{verb} {called.plural} is forbidden")
        return None

    return fault
