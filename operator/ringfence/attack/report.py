"""The result of a run, for programs and as cells of a table. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from ringfence.api import Json
from ringfence.attack.rows import Result
from ringfence.attack.scene import Scene

HEADINGS: Final = ("row", "command", "expected", "seen", "stopped by", "verdict")


class Line(NamedTuple):
    """One row of the table as text."""

    row: str
    command: str
    expected: str
    seen: str
    stopped_by: str
    verdict: str


def passed(results: Sequence[Result]) -> bool:
    """Whether every row that was run held."""
    return bool(results) and all(result.verdict.status.passed for result in results)


def line(result: Result) -> Line:
    """The cells of one row."""
    row, verdict = result.row, result.verdict
    return Line(
        row.name, row.command, row.expected, verdict.seen, stopped_by(result), verdict.status.value
    )


def stopped_by(result: Result) -> str:
    """The layer that stopped it, and what would have stopped it as well."""
    verdict = result.verdict
    if verdict.layer is None:
        return ""
    also = f"; also {', '.join(verdict.also)}" if verdict.also else ""
    return f"{verdict.layer} ({verdict.by}){also}"


def closing(results: Sequence[Result]) -> str:
    """One sentence for the end."""
    failed = [r.row.name for r in results if not r.verdict.status.passed]
    if failed:
        return f"{len(failed)} of {len(results)} rows did not hold: {', '.join(failed)}"
    return f"All {len(results)} rows held."


def document(scene: Scene, results: Sequence[Result]) -> Json:
    """Everything, for programs."""
    return {
        "passed": passed(results),
        "attacker": {**scene.attacker._asdict(), "node": scene.node, "ownSandbox": scene.own},
        "limits": scene.limits._asdict(),
        "target": {"address": scene.target, "known": scene.target_known},
        "rows": [_entry(result) for result in results],
    }


def _entry(result: Result) -> Json:
    row, verdict = result.row, result.verdict
    return {
        "name": row.name,
        "command": row.command,
        "expected": row.expected,
        "status": verdict.status.value,
        "passed": verdict.status.passed,
        "seen": verdict.seen,
        "layer": verdict.layer,
        "by": verdict.by,
        "also": list(verdict.also),
        "seconds": round(result.seconds, 3),
        "attempts": [a.model_dump(by_alias=True) for a in result.attempts],
    }
