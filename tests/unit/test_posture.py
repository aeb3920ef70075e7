"""What the node agent wrote on a Pod is believed only if it is about the container that runs."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence import names, posture
from ringfence.api import Json
from samples import NOW, READ_BACK, running, verified, written

STARTED = "2026-01-01T11:59:59Z"


def _pod(*conditions: Json, started: str = STARTED, **spec: Any) -> Json:
    return {"spec": {"nodeName": "node-1", **spec}, "status": running(*conditions, started=started)}


def test_verified_layers_are_enforced_with_the_words_of_the_node_agent() -> None:
    found = posture.layers(_pod(*verified()), NOW)
    assert {layer.state for layer in found.values()} == {"Enforced"}
    assert found["resources"].message == READ_BACK[names.RESOURCES_CONDITION]
    verdict = posture.verdict(_pod(*verified()), NOW)
    assert verdict is not None
    assert verdict.status == "True"


@pytest.mark.parametrize(
    ("status", "state"),
    [("True", "Enforced"), ("False", "Degraded"), ("Unknown", "NotAvailable")],
)
def test_status_of_a_condition_is_the_state_of_its_layer(status: str, state: str) -> None:
    pod = _pod(written(names.SECCOMP_CONDITION, status))
    assert posture.layers(pod, NOW)["seccomp"].state == state


DOUBTFUL: dict[str, Json] = {
    "of the container before": {"lastProbeTime": "2026-01-01T11:59:58Z"},
    "of no time": {"lastProbeTime": None},
    "of no moment": {"lastProbeTime": "yesterday"},
    "of no time zone": {"lastProbeTime": "2026-01-01T12:00:00"},
    "of the far future": {"lastProbeTime": "2027-01-01T00:00:00Z"},
    "of an unknown status": {"status": "true"},
    "of no status": {"status": None},
}


@pytest.mark.parametrize("doubt", DOUBTFUL)
def test_a_doubtful_condition_is_not_believed(doubt: str) -> None:
    pod = _pod(*(condition | DOUBTFUL[doubt] for condition in verified()))
    assert posture.layers(pod, NOW) == {}
    assert posture.verdict(pod, NOW) is None


def test_nothing_is_believed_of_a_container_that_does_not_run() -> None:
    pod = _pod(*verified())
    pod["status"]["containerStatuses"][0]["state"] = {"terminated": {"exitCode": 1}}
    assert posture.layers(pod, NOW) == {}


def test_another_container_that_runs_does_not_help() -> None:
    pod = _pod(*verified())
    pod["status"]["containerStatuses"][0]["name"] = "other"
    assert posture.verdict(pod, NOW) is None


@pytest.mark.parametrize("reason", ["", "two words", "x" * 2000, None, "ends,", "1st"])
def test_a_reason_that_the_sandbox_could_not_hold_is_replaced(reason: str | None) -> None:
    pod = _pod(written(names.SECCOMP_CONDITION, reason=reason))
    assert posture.layers(pod, NOW)["seccomp"].reason == "ReadBack"


def test_a_message_of_any_length_fits() -> None:
    pod = _pod(written(names.SECCOMP_CONDITION, message="x" * 100_000))
    assert len(posture.layers(pod, NOW)["seccomp"].message) == 1024


_ANYTHING = st.none() | st.booleans() | st.integers() | st.text(max_size=30)
_MOMENTS = st.integers(-2000, 2000).map(lambda seconds: NOW + timedelta(seconds=seconds))
_CONDITIONS = st.fixed_dictionaries(
    {"type": st.sampled_from([*READ_BACK, "Ready"])},
    optional={
        "status": st.sampled_from(["True", "False", "Unknown"]) | _ANYTHING,
        "reason": _ANYTHING,
        "message": _ANYTHING,
        "lastProbeTime": _MOMENTS | _ANYTHING,
    },
)


def _as_json(condition: Json) -> Json:
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in condition.items()}


@given(st.lists(_CONDITIONS, max_size=6, unique_by=lambda c: c["type"]), _MOMENTS)
def test_whatever_a_pod_says_only_a_finding_about_the_present_enforces_a_layer(
    conditions: list[Json], started: datetime
) -> None:
    pod = _pod(*map(_as_json, conditions), started=started.isoformat())
    for layer, found in posture.layers(pod, NOW).items():
        (source,) = (c for c in conditions if c["type"] == posture.LAYER_CONDITIONS[layer])
        assert started <= source["lastProbeTime"] <= NOW + posture.CLOCK_TOLERANCE
        assert found.state != "Enforced" or source["status"] == "True"
