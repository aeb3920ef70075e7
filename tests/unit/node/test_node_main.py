"""The process: what it needs to start, how it refuses, and that it stays small."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ringfence.node import main as node_main
from ringfence.node.main import main
from ringfence.node.processes import Processes
from test_layers import ROOT

HEAVY = {"kopf", "kubernetes", "pydantic", "structlog", "yaml", "aiohttp"}


def _event(text: str) -> str:
    found: str = json.loads(text)["event"]
    return found


@pytest.fixture(autouse=True)
def _no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["ringfence-node"])
    for name in ("RINGFENCE_NODE_NAME", "RINGFENCE_NODE_POD_UID"):
        monkeypatch.setenv(name, "x")
    for name in ("HOST", "PORT"):
        monkeypatch.setenv(f"KUBERNETES_SERVICE_{name}", "1")


def test_missing_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RINGFENCE_NODE_NAME")
    assert main() == 1
    assert "RINGFENCE_NODE_NAME" in _event(capsys.readouterr().out)


def test_node_that_cannot_be_seen_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGFENCE_NODE_CGROUP_ROOT", str(tmp_path))
    assert main() == 1
    assert str(tmp_path) in _event(capsys.readouterr().out)


def test_container_without_the_nodes_pids_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Processes, "namespaces", lambda *_: {"pid": "pid:[1]"})
    with pytest.raises(node_main.MisplacedError, match="hostPID"):
        node_main._host_namespaces(Processes())


def test_no_heavy_library_is_imported() -> None:
    program = "import sys; import ringfence.node.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "operator")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not HEAVY & set(done.stdout.split())
