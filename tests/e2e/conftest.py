"""Fixtures of the end-to-end tests: the running cluster and a fresh namespace for each test.

The cluster is brought up before the first test that asks for it, outside of any test's
time limit. One that is up already is used as it is and left up.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import product
from cluster import Cluster, ClusterError, binaries, config
from cluster.progress import Progress
from pods import fresh_namespace

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

TEST_SECONDS = 120
NODE_2_SECONDS = 600  # the first of them also starts the node
_HERE = Path(__file__).parent
_STARTED_HERE = pytest.StashKey[bool]()
_WITHOUT_NODE_2 = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --keep-cluster."""
    text = "leave the cluster up after the tests that brought it up"
    parser.addoption("--keep-cluster", action="store_true", help=text)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give end-to-end tests the time that real Pods need; put those that need node 2 last."""
    for item in items:
        if _HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            seconds = NODE_2_SECONDS if item.get_closest_marker("node2") else TEST_SECONDS
            item.add_marker(pytest.mark.timeout(seconds))
    items.sort(key=_turn)  # stable: all others keep their order


def prepare_programs() -> None:
    """Builds what tests without a cluster run, before any test: no test has time for that."""
    binaries.prepare(config.default_paths(), Progress())
    binaries.prepare_helm3(config.default_paths(), Progress())


@pytest.fixture(scope="session")
def programs() -> None:
    """Every program is built; see prepare_programs."""


def _turn(item: pytest.Item) -> int:
    """Node 2 costs a third of a core while it runs: first what does without, last what ends it."""
    marker = item.get_closest_marker("node2")
    if marker is None:
        return 0
    return 2 if marker.kwargs.get("stops_it") else 1


def pytest_collection_finish(session: pytest.Session) -> None:
    """Bring the cluster up if any test needs it, and the product onto it."""
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if session.config.getoption("collectonly"):
        return
    if "programs" in wanted:
        prepare_programs()
    if "cluster" not in wanted:
        return
    try:
        session.config.stash[_STARTED_HERE] = Cluster().up()
        if "ringfence" in wanted:
            product.up()
    except ClusterError as error:
        pytest.exit(f"the cluster did not come up: {error}", returncode=1)
    if "node_2" in wanted:
        _prepare_node_2(session.config)


def _prepare_node_2(pytestconfig: pytest.Config) -> None:
    """Its tests fail where it cannot be made (without QEMU, say); the others run all the same."""
    try:
        Cluster().prepare_node_2()
    except ClusterError as error:
        pytestconfig.stash[_WITHOUT_NODE_2] = str(error)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the cluster if this run brought it up."""
    started = session.config.stash.get(_STARTED_HERE, False)
    if started and not session.config.getoption("--keep-cluster"):
        Cluster().down()


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The running cluster."""
    return Cluster()


@pytest.fixture(scope="session")
def ringfence(cluster: Cluster) -> Cluster:
    """The cluster with the product on it; asking for it is enough to get it installed."""
    return cluster


@pytest.fixture(scope="session")
def node_2(cluster: Cluster, pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """The cluster with node 2, which is started for the first test that asks for it."""
    if problem := pytestconfig.stash.get(_WITHOUT_NODE_2, ""):
        pytest.fail(f"node 2 cannot be made on this machine, and nothing replaces it: {problem}")
    started = cluster.start_node_2()
    yield cluster
    if started and not pytestconfig.getoption("--keep-cluster"):
        cluster.stop_node_2()


@pytest.fixture(autouse=True)
def _living_node_2(request: pytest.FixtureRequest) -> None:
    """After the death of the machine each test says so at once, not at the end of its patience."""
    marker = request.node.get_closest_marker("node2")
    if marker and not marker.kwargs.get("stops_it"):
        request.getfixturevalue("node_2").require_node_2()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A fresh namespace in which Pod Security *restricted* is enforced."""
    with fresh_namespace(cluster) as name:
        yield name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what was in the namespace of a failed test."""
    report = yield
    arguments: dict[str, Any] = getattr(item, "funcargs", {})
    if report.when == "call" and report.failed and {"cluster", "namespace"} <= set(arguments):
        name = arguments["namespace"]
        report.sections.append((f"namespace {name}", _dump(arguments["cluster"], name)))
    if report.failed and "node_2" in arguments:
        report.sections.append(("node 2", arguments["node_2"].node_2_last_words()))
    return report


def _dump(cluster: Cluster, namespace: str) -> str:
    where = ("-n", namespace)
    texts = [
        _try(cluster, "get", "all,events", *where, "-o", "wide"),
        _try(cluster, "describe", "pods", *where),
    ]
    for pod in _try(cluster, "get", "pods", *where, "-o", "name").split():
        flags = ("--all-containers", "--prefix", "--tail=50")
        texts.append(_try(cluster, "logs", pod, *where, *flags))
    return "\n".join(texts)


def _try(cluster: Cluster, *words: str) -> str:
    try:
        return cluster.kubectl(*words)
    except ClusterError as error:  # the failure of the test is the one to be told
        return str(error)
