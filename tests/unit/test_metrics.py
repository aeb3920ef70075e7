"""The metrics as a scrape sees them."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from ringfence import metrics
from ringfence.metrics import Metrics

DOCS = Path(__file__).parents[2] / metrics.PAGE


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def _scrape(defined: Metrics) -> dict[str, float]:
    text = defined.exposition().decode()
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_result_is_counted_and_timed(registry: CollectorRegistry) -> None:
    defined = Metrics(registry)
    defined.reconciled("success", 0.2)
    defined.reconciled("error", 3.0)
    defined.retried()
    seen = _scrape(defined)
    assert seen["ringfence_reconcile_total[('result', 'success')]"] == 1
    assert seen["ringfence_reconcile_total[('result', 'error')]"] == 1
    assert seen["ringfence_reconcile_total[('result', 'requeue')]"] == 0
    assert seen["ringfence_reconcile_duration_seconds_sum[]"] == 3.2
    assert seen["ringfence_workqueue_retries_total[]"] == 1


def test_api_calls_are_counted_by_verb_kind_and_code(registry: CollectorRegistry) -> None:
    defined = Metrics(registry)
    defined.called("apply", "Pod", 201)
    defined.called("apply", "Pod", 201)
    key = "ringfence_api_requests_total[('code', '201'), ('kind', 'Pod'), ('verb', 'apply')]"
    assert _scrape(defined)[key] == 2


def test_gauges_are_asked_at_each_scrape(registry: CollectorRegistry) -> None:
    defined = Metrics(registry)
    depth = [3.0]
    defined.read_from(lambda: depth[0], lambda: 1.5, lambda: {"Running": 2})
    assert _scrape(defined)["ringfence_workqueue_depth[]"] == 3.0
    depth[0] = 4.0
    seen = _scrape(defined)
    assert seen["ringfence_workqueue_depth[]"] == 4.0
    assert seen["ringfence_workqueue_oldest_seconds[]"] == 1.5
    assert seen["ringfence_sandboxes[('phase', 'Running')]"] == 2
    assert seen["ringfence_sandboxes[('phase', 'Failed')]"] == 0


def test_a_phase_that_a_user_wrote_makes_no_series(registry: CollectorRegistry) -> None:
    defined = Metrics(registry)
    defined.read_from(lambda: 0.0, lambda: 0.0, lambda: {"made up": 7})
    assert "made up" not in defined.exposition().decode()


def test_names_follow_the_conventions_and_no_label_names_an_object(
    registry: CollectorRegistry,
) -> None:
    defined = Metrics(registry)
    defined.called("get", "Pod", 200)
    for family in text_string_to_metric_families(defined.exposition().decode()):
        assert re.fullmatch(r"ringfence_[a-z_]+[a-z]", family.name)
        assert family.documentation.endswith(".")
        for sample in family.samples:
            allowed = {"result", "verb", "kind", "code", "phase", "version", "le"}
            assert sample.labels.keys() <= allowed


def test_the_docs_page_is_that_of_the_definitions() -> None:
    assert DOCS.read_text() == metrics.page(), "run: python -m ringfence.metrics"
    assert "| `ringfence_reconcile_total` | counter | `result` |" in metrics.page()


def test_a_stale_page_is_reported_and_then_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "docs" / "metrics.md"
    for arguments, code in ((["--check"], 1), ([], 0), (["--check"], 0)):
        monkeypatch.setattr("sys.argv", ["metrics", "--page", str(page), *arguments])
        assert metrics.main() == code
    assert page.read_text() == metrics.page()
    assert capsys.readouterr().out.splitlines() == [f"stale: {page}", f"wrote: {page}"]
