"""The limits that travel in the Pod to the node agent, and the nodes that a Pod may run on."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from ringfence.api import ClassIo
from ringfence.resources.limits import limits_variable
from ringfence.resources.pod import pod
from samples import SETTINGS, accepted, sandbox, sandbox_class


def _limits(*, resources: dict[str, Any] | None = None, **rules: Any) -> Any:
    body = sandbox(resources=resources or {})
    return json.loads(limits_variable(accepted(body, sandbox_class(**rules)))["value"])


def test_limits_of_the_seed_without_rates() -> None:
    assert _limits() == {"pids": 256, "diskBytes": 5 * 2**30}


def test_a_sandbox_that_asks_for_less_gets_less() -> None:
    limits = _limits(resources={"pids": 64, "disk": "1.5Gi"})
    assert limits == {"pids": 64, "diskBytes": 3 * 2**29}


def test_rates_come_from_the_class_alone_and_only_those_that_it_names() -> None:
    io = {"readBytesPerSecond": "50Mi", "writeOperationsPerSecond": 200}
    assert _limits(io=io)["io"] == {
        "readBytesPerSecond": 50 * 2**20,
        "writeOperationsPerSecond": 200,
    }


def test_a_part_of_a_byte_is_rounded_up_as_the_api_server_does() -> None:
    assert _limits(resources={"disk": "1500m"})["diskBytes"] == 2


@pytest.mark.parametrize("rate", [0, -1, "fast", "0"])
@pytest.mark.parametrize("field", ["writeOperationsPerSecond", "readBytesPerSecond"])
def test_a_rate_that_stops_or_means_nothing_is_refused(field: str, rate: Any) -> None:
    with pytest.raises(ValidationError):
        ClassIo.model_validate({field: rate})


def test_the_same_limits_are_written_in_the_same_way() -> None:
    one = sandbox_class(io={"readBytesPerSecond": 1, "writeBytesPerSecond": 2})
    two = sandbox_class(io={"writeBytesPerSecond": 2, "readBytesPerSecond": 1})
    assert limits_variable(accepted(None, one)) == limits_variable(accepted(None, two))


@pytest.mark.parametrize(("runtime", "waits"), [(None, True), ("gvisor", False)])
def test_only_another_runtime_spares_the_wait_for_limits(runtime: str | None, waits: bool) -> None:  # noqa: FBT001
    rules = sandbox_class(**({"runtimeClassName": runtime} if runtime else {}))
    built = pod(accepted(None, rules), SETTINGS, 31234)
    hook = built["spec"]["initContainers"][0]["lifecycle"]["postStart"]["exec"]["command"]
    assert ("--without-limits" not in hook) is waits
