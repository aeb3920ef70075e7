"""Fixtures of the SDK's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cluster import LocalCluster, local_cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    """A cluster with one Sandbox whose commands run on this machine."""
    work = tmp_path / "work"
    work.mkdir()
    with local_cluster(work) as found:
        yield found
