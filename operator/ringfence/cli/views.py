"""What people see of Sandboxes: cells and paragraphs. Pure; the terminal is somebody else's."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from ringfence.advice import advice
from ringfence.names import LAYERS

Json = dict[str, Any]

_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60))
_STYLES: Final = {
    "True": "green",
    "Enforced": "green",
    "Degraded": "yellow",
    "NotAvailable": "dim",
    "False": "red",
    "Unknown": "yellow",
}


class Cell(NamedTuple):
    """One cell of a table."""

    text: str
    style: str = ""


def condition(found: Json, type_: str) -> Json:
    """A condition of a Sandbox; empty while there is none."""
    conditions = found.get("status", {}).get("conditions") or []
    return next((c for c in conditions if c.get("type") == type_), {})


def headings(*, wide: bool, everywhere: bool) -> list[str]:
    """Headings of `ls`."""
    first = ["NAMESPACE"] if everywhere else []
    more = ["IMAGE", "NODE", "MESSAGE"] if wide else []
    return [*first, "NAME", "READY", "REASON", "PHASE", "CLASS", "AGE", *more]


def line(found: Json, now: datetime, *, wide: bool, everywhere: bool) -> list[Cell]:
    """One Sandbox in `ls`."""
    meta, status, ready = found["metadata"], found.get("status") or {}, condition(found, "Ready")
    state = ready.get("status", "Unknown")
    cells = [
        Cell(meta["name"]),
        Cell(state, _STYLES.get(state, "")),
        Cell(ready.get("reason", "NotSeen")),
        Cell(status.get("phase") or "-"),
        Cell(status.get("className") or found["spec"].get("className") or "-"),
        Cell(age(meta.get("creationTimestamp"), now)),
    ]
    if everywhere:
        cells.insert(0, Cell(meta["namespace"]))
    if wide:
        texts = (status.get("image"), status.get("nodeName"), ready.get("message"))
        cells += [Cell(text or "-") for text in texts]
    return cells


def age(timestamp: str | None, now: datetime) -> str:
    """How long ago, in kubectl's way."""
    if not timestamp:
        return "-"
    seconds = int((now - datetime.fromisoformat(timestamp)).total_seconds())
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{max(seconds, 0)}s"


def facts(found: Json, now: datetime) -> list[tuple[str, str]]:
    """What `describe` begins with."""
    meta, spec, status = found["metadata"], found["spec"], found.get("status") or {}
    ready = condition(found, "Ready")
    limits = ", ".join(f"{k} {v}" for k, v in (spec.get("resources") or {}).items())
    pairs = [
        ("Name", meta["name"]),
        ("Namespace", meta["namespace"]),
        ("Age", age(meta.get("creationTimestamp"), now)),
        ("Ready", f"{ready.get('status', 'Unknown')} ({ready.get('reason', 'not seen yet')})"),
        ("Phase", status.get("phase") or "-"),
        ("Class", status.get("className") or spec.get("className") or "-"),
        ("Image", status.get("image") or spec.get("image") or "-"),
        ("Pod", status.get("podName") or "-"),
        ("Node", status.get("nodeName") or "-"),
        ("User id", str(status.get("uid") or "-")),
        ("Limits", limits or "the class's"),
        ("Network", _network(spec)),
    ]
    if role := (spec.get("identity") or {}).get("roleArn"):
        pairs.append(("AWS role", role))
    if meta.get("deletionTimestamp"):
        pairs.append(("Deleted", f"{age(meta['deletionTimestamp'], now)} ago; its Pod is ending"))
    return pairs


def _network(spec: Json) -> str:
    egress = spec.get("egress")
    if egress is None:
        return "the class's allowlist"
    rules = egress.get("allow") or []
    hosts = (f"{r['host']}:{','.join(map(str, r.get('ports') or [443]))}" for r in rules)
    return ", ".join(hosts) or "closed"


def layers(found: Json) -> list[list[Cell]]:
    """The layers of defence, in the order of docs/security.md."""
    isolation = (found.get("status") or {}).get("isolation") or {}
    return [
        [
            Cell(name),
            Cell(layer.get("state", "-"), _STYLES.get(layer.get("state", ""), "")),
            Cell(layer.get("message", "")),
        ]
        for name in LAYERS
        if (layer := isolation.get(name))
    ]


def conditions(found: Json) -> list[list[Cell]]:
    """The conditions."""
    return [
        [
            Cell(c["type"]),
            Cell(c["status"], _STYLES.get(c["status"], "")),
            Cell(c.get("reason", "")),
            Cell(c.get("message", "")),
        ]
        for c in found.get("status", {}).get("conditions") or []
    ]


def what_to_do(found: Json) -> list[str]:
    """Advice, the most pressing first; empty if all is well."""
    name = found["metadata"]["name"]
    bad = [c for c in found.get("status", {}).get("conditions") or [] if c["status"] != "True"]
    bad.sort(key=lambda c: c["type"] != "Ready")
    hints = [advice(c.get("reason", ""), name) for c in bad if c["type"] != "Finished"]
    if not found.get("status", {}).get("conditions"):
        hints.append("the operator has not seen it: kubectl -n ringfence-system get pods")
    return list(dict.fromkeys(hint for hint in hints if hint))
