"""The rendered chart, for the tests of the packaging, and Helm, if it is missing."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from helm import render

from cluster import binaries, config
from cluster.progress import Progress
from rendered import Render, Rendered

_HERE = Path(__file__).parent


def pytest_collection_finish(session: pytest.Session) -> None:
    """Downloads Helm before the first test that needs it, outside of its time limit."""
    wanted = any(_HERE in item.path.parents for item in session.items)
    if wanted and not session.config.getoption("collectonly"):
        binaries.prepare_clients(config.default_paths(), Progress())


@pytest.fixture(scope="session")
def chart() -> Rendered:
    """The chart with its default values."""
    return Rendered(render.template())


@pytest.fixture
def render_with(tmp_path: Path) -> Render:
    """Renders the chart with values given as a nested dict."""

    def rendered(values: dict[str, Any], *arguments: str, tests: bool = False) -> Rendered:
        path = tmp_path / "values.yaml"
        path.write_text(yaml.safe_dump(values))
        return Rendered(render.template("-f", str(path), *arguments, tests=tests))

    return rendered
