"""Nothing gets past a Sandbox's network fence: the table of bypass attempts on the real cluster.

Each row runs in the agent container of a real Sandbox, and no row passes because nobody was there
(bypass/model.py). The last tests take layers away and demand that exactly their rows fail.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import support
from bypass import places, race, report
from bypass.internet import Internet, open_internet
from bypass.model import Judged, Layer, Row
from bypass.rows import ROWS
from bypass.stage import Pod, Stage, staged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster import Cluster
    from support import Json

pytestmark = [
    pytest.mark.bypass,
    pytest.mark.usefixtures("ringfence"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def internet(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    with open_internet(cluster, tmp_path_factory.mktemp("bypass")) as opened:
        yield opened


@pytest.fixture(scope="module")
def stage(cluster: Cluster, internet: Internet) -> Iterator[Stage]:
    with staged(cluster, internet) as built:
        yield built


@pytest.fixture(scope="module")
def reachable(stage: Stage) -> set[str]:
    """Rows whose targets were reached by somebody who is allowed."""
    return stage.reachable(ROWS)


@pytest.fixture(scope="module")
def unfenced(stage: Stage) -> Pod:
    """A copy of the target's Pod without the packet filter."""
    return stage.unfenced()


def _shown(judged: list[Judged], name: str, tmp_path: pytest.TempPathFactory) -> list[str]:
    """Prints the table, keeps the JSON, and returns the names of the rows that do not hold."""
    sys.stdout.write(report.table(judged))
    path = tmp_path.getbasetemp() / f"{name}.json"
    path.write_text(json.dumps(report.document(judged), indent=1))
    return [one.row.name for one in judged if not one.holds]


def test_every_row_holds_in_a_sandbox(
    stage: Stage, reachable: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    judged = stage.judged(stage.pod("target"), ROWS, reachable)
    assert _shown(judged, "sandbox", tmp_path_factory) == []
    by_filter = [one for one in judged if Layer.FENCE in one.row.layers and not _other(one.row)]
    assert {one.seen.where for one in by_filter} == {Layer.FENCE}


def _other(row: Row) -> bool:
    """Whether something refuses it before it comes to any network."""
    return row.refused_without(Layer.FENCE, Layer.POLICY)


def test_without_the_packet_filter_exactly_its_rows_fail(
    stage: Stage, unfenced: Pod, reachable: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    judged = stage.judged(unfenced, ROWS, reachable)
    failed = _shown(judged, "unfenced", tmp_path_factory)
    only = [row.name for row in ROWS if row.layers and not row.refused_without(Layer.FENCE)]
    assert failed == only


# --- From outside ---------------------------------------------------------------------------------


INBOUND = Row(
    "inbound", "", "ways.tcp", {"address": "", "port": places.INBOUND_PORT}, (Layer.FENCE,)
)


def _dials(stage: Stage, prober: str, address: str) -> str:
    """What comes of dialling the listener of a Sandbox, and who refuses it."""
    row = replace(INBOUND, args=INBOUND.args | {"address": address})
    seen = stage.run(stage.pod(prober), [row])[row.name]
    return seen.outcome


def test_nobody_reaches_a_listener_in_a_sandbox(cluster: Cluster, stage: Stage) -> None:
    address = stage.pod("target").address
    assert _dials(stage, "target", address) == "through"
    assert _dials(stage, "free", address) != "through"
    assert not _node_reaches(cluster, address)


def test_without_the_packet_filter_the_node_reaches_it(cluster: Cluster, unfenced: Pod) -> None:
    """NetworkPolicy lets a node reach its own Pods; what is on the node may be hostile, too."""
    assert _node_reaches(cluster, unfenced.address)


def _node_reaches(cluster: Cluster, address: str) -> bool:
    script = f"exec 3<>/dev/tcp/{address}/{places.INBOUND_PORT}"
    done = cluster.node_exec("timeout", "2", "bash", "-c", script, check=False)
    return done.returncode == 0


# --- When layers fail -----------------------------------------------------------------------------


DIRECT = [row for row in ROWS if Layer.POLICY in row.layers or row.layers == (Layer.FENCE,)]


def test_packet_filter_alone_holds_what_both_hold(
    cluster: Cluster, stage: Stage, reachable: set[str]
) -> None:
    """Policies add up: any tenant who may write one could open what ours closes."""
    support.apply(cluster, _open_policy(stage))
    try:
        judged = stage.judged(stage.pod("target"), DIRECT, reachable)
    finally:
        cluster.kubectl("delete", "networkpolicy", "open", "-n", stage.namespace)
    sys.stdout.write(report.table(judged))
    assert {one.row.name: one.why for one in judged if one.verdict == "breached"} == {}


def _open_policy(stage: Stage) -> Json:
    metadata = {"name": "open", "namespace": stage.namespace}
    spec = {
        "podSelector": {},
        "policyTypes": ["Egress", "Ingress"],
        "egress": [{}],
        "ingress": [{}],
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": spec,
    }


NOT_OF_A_GATEWAY = {"listening", "abstract-sockets", "leads-to-loopback", "leads-to-zero"}


def test_proxy_in_a_pod_of_its_own_is_led_astray_no_more(
    cluster: Cluster, stage: Stage, reachable: set[str]
) -> None:
    stage.sandboxes("behind-gateway", className=stage.gateways)
    support.wait_ready(cluster, stage.namespace, "behind-gateway")
    rows = [row for row in ROWS if row.probe.startswith("tunnels.")]
    rows = [row for row in rows if row.name not in NOT_OF_A_GATEWAY]
    judged = stage.judged(stage.pod("behind-gateway"), rows, reachable)
    sys.stdout.write(report.table(judged))
    assert [one.row.name for one in judged if not one.holds] == []


@pytest.mark.parametrize("squat", [False, True], ids=["port left alone", "port taken"])
def test_nothing_opens_while_the_proxy_is_dead(
    cluster: Cluster, stage: Stage, *, squat: bool
) -> None:
    """The agent hammers, also from the port that the dead proxy's connection had."""
    name = f"siege-{int(squat)}"
    stage.sandboxes(name)
    support.wait_ready(cluster, stage.namespace, name)
    with stage.besieged(name, places.ALLOWED, places.PUBLIC, squat=squat) as siege:
        stage.kill_proxy(name)
    assert siege["tunnel"] == "cut"
    assert siege["inherited port"]
    assert siege["tried"] > 100
    assert siege["passed"] == 0
    # An agent that listens in the proxy's place has no network at all: its own doing.
    assert siege["port"] == "taken" if squat else siege["back"]


def test_nothing_gets_out_between_a_start_and_the_fence(stage: Stage) -> None:
    """Fifty Sandboxes that dial from the first instruction of their agent on."""
    begun, laps = time.time(), list[race.Lap]()
    for first in range(0, 50, 10):
        laps += race.wave(stage, [f"race-{n}" for n in range(first, first + 10)])
    assert len(laps) == 50
    assert all(lap.tried > 100 for lap in laps), laps
    assert {lap.passed for lap in laps} == {0}
    assert race.agents_own(stage.internet.between(begun, time.time())) == []


def test_the_same_program_gets_out_of_a_pod_without_a_fence(stage: Stage) -> None:
    begun = time.time()
    told = stage.bash("free", race.SCRIPT)
    tried, passed = map(int, told.split())
    assert passed > tried / 2
    arrived = {a.address for a in race.agents_own(stage.internet.between(begun, time.time()))}
    assert arrived == {places.PUBLIC, places.OTHER, race.LEAKED}
