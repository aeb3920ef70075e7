"""A row of the bypass table passes for the right reason or not at all."""

from dataclasses import replace

import pytest

from bypass.model import Arrival, Layer, Proof, Row, Seen, judge

REFUSED = Row("row", "what", "ways.tcp", layers=(Layer.FENCE, Layer.POLICY))
ALLOWED = Row("row", "what", "tunnels.page", proof=Proof.NONE, permits=("203.0.113.20",))
HOME = Arrival(1.0, "tcp", "203.0.113.20", 443)
ELSEWHERE = Arrival(1.0, "tcp", "203.0.113.30", 443)


def verdict(row: Row, seen: Seen, *, reachable: bool = True) -> str:
    return judge(row, seen, reachable=reachable).verdict


@pytest.mark.parametrize("where", ["fence", "policy"])
def test_refusal_by_a_named_layer_holds(where: str) -> None:
    assert verdict(REFUSED, Seen("row", "refused", where)) == "held"


@pytest.mark.parametrize("where", ["kernel", "proxy", "nobody", ""])
def test_refusal_by_any_other_layer_is_no_proof(where: str) -> None:
    assert verdict(REFUSED, Seen("row", "refused", where)) == "inconclusive"


def test_silence_of_a_target_that_others_reach_is_a_network_policys() -> None:
    silent = Seen("row", "silent", "nobody")
    assert verdict(REFUSED, silent) == "held"
    assert verdict(REFUSED, silent, reachable=False) == "inconclusive"
    assert verdict(replace(REFUSED, layers=(Layer.FENCE,)), silent) == "inconclusive"


def test_refusal_is_no_proof_where_nobody_reached_the_target() -> None:
    assert verdict(REFUSED, Seen("row", "refused", "fence"), reachable=False) == "inconclusive"


def test_row_that_could_not_be_tried_never_holds() -> None:
    assert verdict(REFUSED, Seen("row", "untried", "fence")) == "inconclusive"
    assert verdict(ALLOWED, Seen("row", "untried")) == "inconclusive"


def test_whatever_got_through_is_a_breach() -> None:
    assert verdict(REFUSED, Seen("row", "through")) == "breached"


def test_packet_that_arrived_is_a_breach_whatever_the_program_says() -> None:
    assert verdict(REFUSED, Seen("row", "refused", "fence", arrivals=(HOME,))) == "breached"


def test_allowed_row_must_get_through_and_only_home() -> None:
    assert verdict(ALLOWED, Seen("row", "through", arrivals=(HOME,))) == "held"
    assert verdict(ALLOWED, Seen("row", "refused", "proxy")) == "blocked"
    assert verdict(ALLOWED, Seen("row", "through", arrivals=(HOME, ELSEWHERE))) == "breached"


def test_row_is_refused_as_long_as_one_of_its_layers_stands() -> None:
    assert REFUSED.refused_without(Layer.FENCE)
    assert not REFUSED.refused_without(Layer.FENCE, Layer.POLICY)
