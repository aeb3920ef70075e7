"""Options and fixtures of the unit tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ringfence.api import Json

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/unit/golden")


@pytest.fixture
def equals_golden(request: pytest.FixtureRequest) -> Callable[[Json, str], None]:
    """Compares a whole built object with its golden file."""

    def check(built: Json, name: str) -> None:
        path = GOLDEN / f"{name}.yaml"
        text = yaml.safe_dump(built, sort_keys=False, width=100)
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert text == path.read_text()

    return check
