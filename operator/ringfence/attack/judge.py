"""Judges a row: (row, what was observed, limits) -> verdict. Pure. The checks are in precedence.

A row passes only on proof. What could not be tried, what no fence is seen to have stopped, and
what only some other layer stopped does not pass.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from ringfence.attack.defences import MEMORY
from ringfence.attack.model import Attempt, Limits, Lost, Observed, Status, Verdict
from ringfence.attack.rows import Row

_SHOWN: Final = 3
"""Most attempts that a verdict tells of."""
_MIB: Final = 1 << 20


def judge(row: Row, seen: Observed | Lost, limits: Limits) -> Verdict:
    """What the observation means for the row."""
    if isinstance(seen, Lost):
        return _lost(row, seen)
    for check in _CHECKS:
        if verdict := check(row, seen, limits):
            return verdict
    return _stopped(row, seen, limits)


def _lost(row: Row, lost: Lost) -> Verdict:
    if lost.out_of_memory and MEMORY in row.defences:
        return Verdict(Status.STOPPED, lost.why, MEMORY.layer, MEMORY.label)
    return Verdict(Status.INCONCLUSIVE, lost.why)


def _no_app_armor(row: Row, seen: Observed, _limits: Limits) -> Verdict | None:
    if row.needs_app_armor and not seen.me.app_armor_in_kernel:
        return Verdict(Status.NOT_APPLICABLE, "this node's kernel has no AppArmor")
    return None


def _through(_row: Row, seen: Observed, _limits: Limits) -> Verdict | None:
    found = [a for a in seen.attempts if a.outcome == "through"]
    return Verdict(Status.BREACHED, _tell(found)) if found else None


def _untried(_row: Row, seen: Observed, _limits: Limits) -> Verdict | None:
    found = [a for a in seen.attempts if a.outcome == "untried"]
    if found:
        return Verdict(Status.INCONCLUSIVE, _tell(found))
    return None if seen.attempts else Verdict(Status.INCONCLUSIVE, "nothing was tried")


def _unproven(row: Row, seen: Observed, _limits: Limits) -> Verdict | None:
    """Silence where nobody is known to listen is no refusal."""
    known = any(a.known for a in seen.attempts)  # none of them went through, or we were not here
    proven = row.fence_suffices and known
    found = [a for a in seen.attempts if a.outcome == "silent" and not a.known]
    if not found or proven:
        return None
    text = f"nothing shows that a fence stopped it (does anybody answer there?): {_tell(found)}"
    return Verdict(Status.INCONCLUSIVE, text)


def _tolerated(row: Row, seen: Observed, _limits: Limits) -> Verdict | None:
    if not row.tolerated:
        return None
    removed, left = seen.number("removed"), seen.number("left")
    if removed and not left:
        return Verdict(Status.TOLERATED, f"{removed:.0f} entries removed there; {summary(seen)}")
    return Verdict(Status.INCONCLUSIVE, f"{left:.0f} entries could not be removed")


def _weakened(row: Row, seen: Observed, limits: Limits) -> Verdict | None:
    missing = [d for d in row.defences if not d.holds(seen, limits)]
    if not missing:
        return None
    labels = ", ".join(f"{d.layer} ({d.label})" for d in missing)
    return Verdict(Status.WEAKENED, f"missing: {labels}; {summary(seen)}")


_CHECKS: Final[tuple[Callable[[Row, Observed, Limits], Verdict | None], ...]] = (
    _no_app_armor,
    _through,
    _untried,
    _unproven,
    _tolerated,
    _weakened,
)


def _stopped(row: Row, seen: Observed, limits: Limits) -> Verdict:
    first, *others = row.defences
    also = [*others, *(d for d in row.also if d.holds(seen, limits))]
    labels = tuple(f"{d.layer} ({d.label})" for d in also)
    return Verdict(Status.STOPPED, summary(seen), first.layer, first.label, labels)


def summary(seen: Observed) -> str:
    """What was counted, and the answers that were heard, in one line."""
    counted = [text for name, tell in _FIGURES.items() if (text := _figure(seen, name, tell))]
    heard = Counter(_answer(a) for a in seen.attempts)
    answers = [f"{answer} x{n}" if n > 1 else answer for answer, n in heard.items()]
    return ", ".join([*counted, *answers])


_FIGURES: Final[dict[str, Callable[[float], str]]] = {
    "processes": lambda n: f"{n:.0f} processes",
    "bytes": lambda n: f"{n / _MIB:,.0f} MiB",
    "inodes": lambda n: f"{n:,.0f} inodes",
}


def _figure(seen: Observed, name: str, tell: Callable[[float], str]) -> str:
    return tell(seen.number(name)) if name in seen.facts else ""


def _answer(attempt: Attempt) -> str:
    if attempt.outcome == "silent":
        return attempt.errno or "no answer"
    return f"{attempt.filter} (filter)" if attempt.filter else attempt.errno or "refused"


def _tell(attempts: list[Attempt]) -> str:
    more = f", and {len(attempts) - _SHOWN} more" if len(attempts) > _SHOWN else ""
    return "; ".join(a.line for a in attempts[:_SHOWN]) + more
