"""What the status of the credentials container says about the Sandbox's identity."""

from typing import Any

import pytest

from ringfence.api import Json
from ringfence.identity_state import identity_state
from ringfence.pod_state import pod_state
from samples import NOW

DENIED = "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"


def _pod(phase: str = "Pending", **status: Any) -> Json:
    names = ("egress-proxy", "aws-credentials")
    found = [{"name": "egress-proxy", "started": True}, {"name": "aws-credentials", **status}]
    return {
        "metadata": {"name": "demo"},
        "spec": {"initContainers": [{"name": n} for n in names], "containers": []},
        "status": {"phase": phase, "initContainerStatuses": found},
    }


def _ended(message: str = DENIED, code: int = 1) -> Json:
    return {"terminated": {"exitCode": code, "message": message}}


ROWS: dict[str, tuple[Json, str, str, str]] = {
    "issued": (
        _pod("Running", started=True, state={"running": {}}),
        "True",
        "CredentialsIssued",
        "are renewed",
    ),
    "issued after a refusal": (
        _pod("Running", started=True, state={"running": {}}, lastState=_ended()),
        "True",
        "CredentialsIssued",
        "are renewed",
    ),
    "starting": (_pod(state={"waiting": {}}), "False", "Starting", "not asked"),
    "refused": (_pod(state=_ended()), "False", "IdentityNotReady", DENIED),
    "refused, waits": (
        _pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=_ended()),
        "False",
        "IdentityNotReady",
        DENIED,
    ),
    "refused, tries again": (
        _pod(started=False, state={"running": {}}, lastState=_ended()),
        "False",
        "IdentityNotReady",
        DENIED,
    ),
    "lost while running": (
        _pod("Running", started=False, state=_ended()),
        "False",
        "IdentityNotReady",
        DENIED,
    ),
    "killed": (_pod(state=_ended("", 137)), "False", "IdentityNotReady", "without a word"),
    "ended by the kubelet": (_pod(state=_ended("", 0)), "False", "Starting", "not asked"),
}


@pytest.mark.parametrize("case", ROWS)
def test_identity_follows_from_the_container_that_asks(case: str) -> None:
    pod, status, reason, text = ROWS[case]
    found = identity_state(pod)
    assert found is not None
    assert (found.status, found.reason) == (status, reason)
    assert text in found.message


def test_pod_without_an_identity_says_nothing_about_one() -> None:
    assert identity_state({"spec": {"initContainers": [{"name": "egress-proxy"}]}}) is None


def test_sandbox_is_not_ready_and_says_what_aws_said() -> None:
    state = pod_state(_pod(state=_ended()), NOW)
    assert (state.ready, state.reason, state.phase) == ("False", "IdentityNotReady", "Starting")
    assert DENIED in state.message


def test_agent_that_runs_on_without_credentials_is_still_said_to_run() -> None:
    state = pod_state(_pod("Running", started=False, state=_ended()), NOW)
    assert (state.ready, state.reason, state.phase) == ("False", "IdentityNotReady", "Running")


def test_message_is_the_same_through_all_attempts() -> None:
    attempts = [ROWS[case][0] for case in ("refused", "refused, waits", "refused, tries again")]
    assert len({pod_state(pod, NOW).message for pod in attempts}) == 1
