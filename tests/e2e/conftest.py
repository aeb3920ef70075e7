"""Fixtures of the end-to-end tests: the running cluster and a fresh namespace for each test.

The cluster is brought up before the first test that asks for it, outside of any test's
time limit. One that is up already is used as it is and left up.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

import product
from cluster import Cluster, ClusterError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

TEST_SECONDS = 120
_HERE = Path(__file__).parent
_STARTED_HERE = pytest.StashKey[bool]()
_LABEL = "pod-security.kubernetes.io/enforce=restricted"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --keep-cluster."""
    text = "leave the cluster up after the tests that brought it up"
    parser.addoption("--keep-cluster", action="store_true", help=text)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give end-to-end tests the time that real Pods need, unless they say otherwise."""
    for item in items:
        if _HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Bring the cluster up if any test needs it, and the product onto it."""
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if "cluster" not in wanted or session.config.getoption("collectonly"):
        return
    try:
        session.config.stash[_STARTED_HERE] = Cluster().up()
        if "ringfence" in wanted:
            product.up()
    except ClusterError as error:
        pytest.exit(f"the cluster did not come up: {error}", returncode=1)


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


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A fresh namespace in which Pod Security *restricted* is enforced."""
    name = f"test-{uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, _LABEL)
    yield name
    # Not waited for: names are never used twice, and the next test may start meanwhile.
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


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
