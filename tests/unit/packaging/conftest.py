"""The rendered chart, for the tests of the packaging."""

from typing import Any

import pytest
import yaml
from helm import render

from rendered import Render, Rendered


@pytest.fixture(scope="session")
def chart() -> Rendered:
    """The chart with its default values."""
    return Rendered(render.template())


@pytest.fixture
def render_with(tmp_path: Any) -> Render:
    """Renders the chart with values given as a nested dict."""

    def rendered(values: dict[str, Any], *arguments: str) -> Rendered:
        path = tmp_path / "values.yaml"
        path.write_text(yaml.safe_dump(values))
        return Rendered(render.template("-f", str(path), *arguments))

    return rendered
