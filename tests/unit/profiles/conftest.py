"""Installs apparmor_parser before the first test that needs it, outside of its time limit."""

from pathlib import Path

import pytest

from cluster import rootfs
from cluster.progress import Progress

_HERE = Path(__file__).parent


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = any(_HERE in item.path.parents for item in session.items)
    if wanted and not session.config.getoption("collectonly"):
        missing = rootfs.missing_packages({"apparmor_parser": "apparmor"})
        rootfs.install_packages(missing, Progress())
