"""The loop: what is written to the API server and when, on a node without a kernel."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fake_node import OWN_POD, FakeCgroups, FakeNetworks, FakeProcesses
from node_samples import AGENT_ID, HOST_NAMESPACES, POD_UID, pod_body, status
from ringfence import names
from ringfence.node.agent import STOP, Agent, Message, Parts
from ringfence.node.api import ApiError, Unreachable
from ringfence.node.app_armor_store import AppArmorStore
from ringfence.node.book import Gone, Listed, Seen
from ringfence.node.cgroup_tree import CgroupTree
from ringfence.node.health import Health
from ringfence.node.inspector import Inspector
from ringfence.node.inventory import Inventory
from ringfence.node.mailbox import Mailbox
from ringfence.node.metrics import NodeMetrics
from ringfence.node.outbox import Job, Written
from ringfence.node.publisher import Publisher
from ringfence.node.seccomp_store import SeccompStore, builtin_profiles
from ringfence.node.settings import NodeSettings
from ringfence.node.warden import Warden
from ringfence.node.watches import Watches
from ringfence.profiles.provider import Provider, profile_names

OURS = builtin_profiles("x86_64")
(PROFILE,) = OURS
AGENT = 1105
_NOW = datetime(2026, 11, 25, 2, 46, 40, tzinfo=UTC)
Json = dict[str, Any]


class FakeClient:
    """Answers as the API server does, for one Pod and its node."""

    def __init__(self) -> None:
        self.pod = pod_body()
        context = self.pod["spec"]["containers"][0]["securityContext"]
        context["seccompProfile"]["localhostProfile"] = PROFILE
        self.states: list[Json] = []
        self.labels: Json = {}
        self.patches = 0
        self.error: Exception | None = None

    def get(self, _: str) -> Json:
        return {"metadata": {"name": "node-1", "uid": "u", "labels": self.labels}}

    def apply(self, path: str, _: str, body: Json) -> Json:
        if self.error:
            raise self.error
        if "nodes/node-1" in path and path.startswith("/api/"):
            self.labels = body["metadata"]["labels"]
            return self.get(path)
        self.states.append(body["status"])
        return body

    def patch(self, path: str, _: str, body: Json) -> Json:
        if self.error:
            raise self.error
        assert path == "/api/v1/namespaces/agents/pods/demo/status"
        self.patches += 1
        others = [c for c in self.pod["status"]["conditions"] if "ringfence" not in c["type"]]
        status = self.pod["status"] | {"conditions": others + body["status"]["conditions"]}
        self.pod = self.pod | {"status": status}
        return self.pod

    def condition(self, type_: str = names.POSTURE_VERIFIED) -> str | None:
        found = {c["type"]: c["status"] for c in self.pod["status"]["conditions"]}
        return found.get(type_)


class Case:
    """An agent on a node with one running Sandbox; jobs are done when a test says so."""

    def __init__(self, directory: Path) -> None:
        mount, seccomp = directory / "cgroup", directory / "seccomp"
        for path in (mount, seccomp / "ringfence"):
            path.mkdir(parents=True)
        self.profile = seccomp / PROFILE
        self.cgroups = FakeCgroups(mount)
        self.processes: Any = FakeProcesses()
        self.client: Any = FakeClient()
        self.jobs: list[tuple[str, Job]] = []
        self.mailbox: Mailbox[Message] = Mailbox()
        self.metrics = NodeMetrics.unregistered()
        self.health = Health(0)
        self.watches = Watches()
        self.networks = FakeNetworks()
        self.fences = self.networks.fences()
        self.agent = Agent(_settings(), self._parts(mount, SeccompStore(seccomp, OURS, ())))

    def _parts(self, mount: Path, store: SeccompStore) -> Parts:
        tree = CgroupTree(str(mount), OWN_POD)
        return Parts(
            mailbox=self.mailbox,
            watches=self.watches,
            inventory=Inventory(store, AppArmorStore(mount, {}, ()), lambda: False, 1),
            warden=Warden(tree, Inspector(tree, self.processes), self.fences),
            fences=self.fences,
            publisher=Publisher("node-1", lambda: _NOW),
            send=lambda key, job: self.jobs.append((key, job)),
            health=self.health,
            metrics=self.metrics,
            host_namespaces=HOST_NAMESPACES,
        )

    def pod(self) -> str:
        """Gives the Sandbox its cgroups."""
        pod = self.cgroups.pod()
        self.cgroups.container(pod, AGENT)
        return pod

    def turn(self, *messages: Message) -> None:
        """Lets the agent turn until nothing more comes of it; the API server answers."""
        for message in messages:
            self.mailbox.put(message)
        for _ in range(5):
            self.agent.turn()
            jobs, self.jobs = self.jobs, []
            for key, job in jobs:
                self.mailbox.put(_done(key, job, self.client))

    def close(self) -> None:
        self.watches.close()
        os.close(self.mailbox.fileno())


def _done(key: str, job: Job, client: Any) -> Written:
    try:
        return Written(key, job(client), None)
    except (ApiError, Unreachable) as error:
        return Written(key, None, str(error))


def _settings() -> NodeSettings:
    # The regular scan is far away: what a test sees was noticed at once.
    return NodeSettings(
        node_name="node-1",
        node_pod_uid=OWN_POD,
        profiles=profile_names(Provider.BUILTIN),
        node_scan_seconds=1000,
        node_heartbeat_seconds=1000,
    )


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    case = Case(tmp_path)
    case.agent.begin()
    case.turn()
    yield case
    case.close()


def test_at_the_start_the_node_says_what_it_has(case: Case) -> None:
    assert case.profile.read_bytes() == OURS[PROFILE]
    assert case.client.labels == {names.seccomp_label(PROFILE): "installed"}
    assert case.client.states[-1]["seccompProfiles"] == [PROFILE]
    assert case.health.unready(time.monotonic()) is None


def test_pod_that_exists_before_the_agent_is_taken_care_of(case: Case) -> None:
    pod = case.pod()
    case.turn(Listed((case.client.pod,)))
    assert case.cgroups.pids_max(pod) == "400"
    assert case.client.condition() == "True"
    assert case.client.patches == 1


def test_new_cgroup_is_noticed_without_any_scan(case: Case) -> None:
    case.turn(Seen(case.client.pod))
    assert case.client.patches == 0
    pod = case.pod()
    case.turn()
    assert case.cgroups.pids_max(pod) == "400"
    assert case.client.condition() == "True"


def test_limit_that_somebody_raises_is_lowered_without_any_scan(case: Case) -> None:
    pod = case.pod()
    case.turn(Listed((case.client.pod,)))
    case.cgroups.set_pids_max(f"{pod}/{AGENT_ID}", "max\n")
    case.turn()
    assert case.cgroups.pids_max(f"{pod}/{AGENT_ID}").startswith("256")


def test_steady_state_writes_nothing(case: Case) -> None:
    case.pod()
    case.turn(Listed((case.client.pod,)))
    written = len(case.client.states)
    for _ in range(3):
        case.turn(Seen(case.client.pod), Listed((case.client.pod,)))
    assert (case.client.patches, len(case.client.states)) == (1, written)


def test_restarted_agent_container_is_one_more_write(case: Case) -> None:
    case.pod()
    case.turn(Listed((case.client.pod,)))
    running = {"state": {"running": {"startedAt": "2999-01-01T00:00:00Z"}}, "name": "agent"}
    status = case.client.pod["status"] | {"containerStatuses": [running]}
    case.mailbox.put(Seen(case.client.pod | {"status": status}))
    case.agent.turn()
    assert [key for key, _ in case.jobs] == [POD_UID]


def test_pod_that_went_is_forgotten(case: Case) -> None:
    pod = case.pod()
    case.turn(Listed((case.client.pod,)), Gone(POD_UID))
    case.cgroups.set_pids_max(pod, "max\n")
    case.turn()
    assert case.cgroups.pids_max(pod) == "max"


def test_lost_profile_is_repaired_without_any_scan(case: Case) -> None:
    case.profile.unlink()
    case.turn()
    assert case.profile.exists()
    assert case.client.labels == {names.seccomp_label(PROFILE): "installed"}


def _block(case: Case) -> None:
    case.profile.unlink()
    case.profile.mkdir()
    (case.profile / "content").touch()


def test_profile_that_cannot_be_repaired_loses_its_label_at_once(case: Case) -> None:
    case.pod()
    case.turn(Listed((case.client.pod,)))
    _block(case)
    case.turn()
    assert case.client.labels == {}
    assert case.client.states[-1]["seccompProfiles"] == []
    assert case.client.states[-1]["conditions"][0]["status"] == "False"
    assert str(case.profile) in (case.health.unready(0) or "")


def test_label_comes_back_with_the_profile(case: Case) -> None:
    _block(case)
    case.turn()
    (case.profile / "content").unlink()
    case.profile.rmdir()
    case.turn()
    assert case.client.labels == {names.seccomp_label(PROFILE): "installed"}


def test_ailing_sandbox_is_told_and_counted(case: Case) -> None:
    case.processes.statuses[AGENT] = status(nnp=0)
    case.pod()
    case.turn(Listed((case.client.pod,)))
    assert case.client.condition() is None
    time.sleep(1.1)
    case.turn()
    assert case.client.condition() == "False"
    assert b"ringfence_node_ailing_reports_total 1.0" in case.metrics.exposition()


def test_write_that_failed_is_tried_again(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.node.agent._RETRY_SECONDS", 0)
    case.pod()
    case.client.error = Unreachable("down")
    case.turn(Listed((case.client.pod,)))
    assert case.client.condition() is None
    case.client.error = None
    case.turn()
    assert case.client.condition() == "True"


def test_limits_do_not_wait_for_the_api_server(case: Case) -> None:
    pod = case.pod()
    case.client.error = Unreachable("down")
    case.turn(Listed((case.client.pod,)))
    assert case.cgroups.pids_max(pod) == "400"


def test_kernel_that_cannot_be_read_is_told_when_it_lasts(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.processes.broken = True
    case.pod()
    case.turn(Listed((case.client.pod,)))
    assert case.client.condition() is None
    monkeypatch.setattr("ringfence.node.agent._RETRY_SECONDS", 0)
    case.turn(Seen(case.client.pod))
    assert case.client.condition() == "False"


def test_one_pod_that_cannot_be_read_does_not_stop_the_others(case: Case) -> None:
    case.pod()
    broken = pod_body()
    broken["metadata"] |= {"uid": "0f0e0d0c-1111-2222-3333-444455556666", "name": "broken"}
    other = case.cgroups.pod(broken["metadata"]["uid"])
    case.cgroups.container(other, 7)
    case.processes.mountinfo[7] = "nonsense"
    case.processes.statuses[7] = status(ns_pid="7\t1")
    case.turn(Listed((broken, case.client.pod)))
    assert case.client.condition() == "True"
    assert b"ringfence_node_errors_total 0.0" not in case.metrics.exposition()


def test_time_to_the_verified_posture_is_measured_once(case: Case) -> None:
    case.pod()
    case.turn(Listed((case.client.pod,)))
    case.turn(Seen(case.client.pod))
    assert b"ringfence_node_posture_seconds_count 1.0" in case.metrics.exposition()


def test_stop_ends_the_loop(case: Case) -> None:
    case.mailbox.put(STOP)
    case.agent.run()
