"""The packet filter as text, what is read of it, and what Pods ask for."""

import json
import struct
from typing import Any

import pytest

from node_samples import pod, pod_body
from ringfence.node import fence, nfnetlink
from ringfence.node.fence import Destination
from ringfence.node.pods import Fence, sandbox_pod

OPEN = Fence("10.96.0.10", frozenset({443, 8443}))


def _asked(value: str) -> Fence | None:
    body = pod_body()
    body["spec"]["initContainers"][0]["env"][1]["value"] = value
    return sandbox_pod(body).fence


def test_pod_asks_for_a_fence_by_the_variable_of_its_proxy() -> None:
    assert pod().fence == Fence("10.96.0.10", frozenset({443}))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "[]",
        "null",
        '{"resolver":"10.0.0.1"}',
        '{"ports":[443]}',
        '{"ports":[443],"resolver":"::1"}',
        '{"ports":[443],"resolver":"10.0.0.1; accept"}',
        '{"ports":["443"],"resolver":"10.0.0.1"}',
        '{"ports":[65536],"resolver":"10.0.0.1"}',
        '{"ports":[true],"resolver":"10.0.0.1"}',
    ],
)
def test_what_cannot_be_read_is_a_fence_without_any_way_out(value: str) -> None:
    assert _asked(value) == Fence()
    rules = fence.ruleset(Fence())
    assert rules.count("ct mark set") == 0


def test_only_the_proxy_is_let_out_and_only_past_the_denied_networks() -> None:
    rules = fence.ruleset(OPEN)
    proxy = rules[rules.index("chain proxy") :]
    assert proxy.index("ip daddr 10.96.0.10") < proxy.index("169.254.0.0/16")
    assert proxy.index("169.254.0.0/16") < proxy.index("tcp dport { 443, 8443 }")
    assert rules.count("meta skuid 10101") == 1
    assert rules.count("policy drop") == 2


def test_rules_replace_the_table_in_one_transaction() -> None:
    head = fence.ruleset(OPEN).splitlines()[:3]
    assert head == ["table inet ringfence", "delete table inet ringfence", "table inet ringfence {"]


def _listed(*elements: Any) -> str:
    return json.dumps({"nftables": [{"metainfo": {}}, {"set": {"name": "s", "elem": elements}}]})


@pytest.mark.parametrize("protocol", ["tcp", 6])
def test_refused_packets_are_read_by_destination(protocol: Any) -> None:
    where = {"concat": [30001, protocol, "203.0.113.10", 443]}
    text = _listed({"elem": {"val": where, "counter": {"packets": 3, "bytes": 180}}})
    assert fence.parse_refused(text) == {Destination(30001, "tcp", "203.0.113.10", 443): 3}
    assert fence.parse_refused('{"nftables": [{"set": {"name": "s"}}]}') == {}


def test_what_is_new_is_the_difference_and_a_fallen_count_began_anew() -> None:
    a, b, c = (Destination(1, "tcp", "192.0.2.1", port) for port in (1, 2, 3))
    assert fence.grown({a: 2, b: 5, c: 1}, {a: 4, b: 3, c: 1}) == {a: 2, b: 3}


# What a kernel 6.18 answered.
_GENERATION = "300000000f0a000001000000fb46000000000002080001000000000208000200000046fb0c0003007079"
_COUNTER = (
    "68000000120a000001000000fb460000010000020e00010072696e6766656e63650000000c000200726566757365"
    "640008000300000000010c000600000000000000000508000500000000011c0004000c00010000000000000001bb"
    "0c000200000000000000000a"
)


def test_generation_and_counter_are_read_from_the_kernels_answers() -> None:
    assert nfnetlink.parse_generation(bytes.fromhex(_GENERATION)) == 2
    assert nfnetlink.parse_counter(bytes.fromhex(_COUNTER)) == 10


def test_refusal_of_the_kernel_is_an_error() -> None:
    answer = struct.pack("=IHHIIi", 36, 2, 0, 0, 0, -2) + bytes(16)
    with pytest.raises(nfnetlink.RefusedByKernelError, match="error 2"):
        nfnetlink.parse_counter(answer)


def test_truncated_attributes_end_the_reading() -> None:
    with pytest.raises(KeyError):
        nfnetlink.parse_generation(bytes.fromhex(_GENERATION)[:20] + b"\0\0\0\0")
