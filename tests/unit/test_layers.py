"""The shape of the code: who may import whom, and how long things may get."""

import ast
import gc
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPERATOR = ROOT / "operator"
FILES = sorted(OPERATOR.rglob("*.py"))


def test_every_import_goes_down_the_layers() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        env={"PYTHONPATH": str(OPERATOR)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_operator_is_no_package_that_shadows_the_standard_library() -> None:
    assert not (OPERATOR / "__init__.py").exists()


def _parsed(path: Path) -> ast.Module:
    """The file's tree. CPython 3.11 counts recursion wrongly if a collection interrupts it."""
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


def _functions(path: Path) -> list[tuple[str, int]]:
    """Name and length of each function, without its docstring."""
    nodes = ast.walk(_parsed(path))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [(node.name, _length(node)) for node in nodes if isinstance(node, kinds)]


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is None:
        return total
    return total - ((first.end_lineno or first.lineno) - first.lineno + 1)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(OPERATOR)))
def test_files_and_functions_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 400
    assert [name for name, length in _functions(path) if length > 60] == []


def test_most_functions_are_a_few_lines() -> None:
    lengths = [length for path in FILES for _, length in _functions(path)]
    assert statistics.median(lengths) <= 8


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(OPERATOR)))
def test_every_file_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(_parsed(path))
