"""Which foreign NetworkPolicies open a Sandbox's Pod: the API's own rules of selection."""

from typing import Any

import pytest

from ringfence import fences
from ringfence.policy_book import PolicyBook

LABELS = {"app.kubernetes.io/managed-by": "ringfence", "ringfence.dev/sandbox-uid": "u"}
OPEN: dict[str, Any] = {"egress": [{}]}


def _expression(operator: str, *values: str, key: str = "ringfence.dev/sandbox-uid") -> Any:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def _named(name: str = "p", **spec: Any) -> Any:
    return {"metadata": {"namespace": "ns", "name": name}, "spec": spec}


@pytest.mark.parametrize(
    "selector",
    [
        {},
        None,
        {"matchLabels": {"ringfence.dev/sandbox-uid": "u"}},
        _expression("In", "x", "u"),
        _expression("NotIn", "x"),
        _expression("Exists"),
        _expression("DoesNotExist", key="other"),
        _expression("SomethingNew"),
    ],
    ids=str,
)
def test_policy_that_selects_the_pod_and_allows_something_widens(selector: Any) -> None:
    assert fences.widening([_named(podSelector=selector, **OPEN)], LABELS) == ("p",)


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"ringfence.dev/sandbox-uid": "other"}},
        {"matchLabels": LABELS | {"more": "needed"}},
        _expression("In", "x"),
        _expression("NotIn", "u"),
        _expression("Exists", key="other"),
        _expression("DoesNotExist"),
    ],
    ids=str,
)
def test_policy_that_selects_others_is_nobodys_business(selector: Any) -> None:
    assert fences.widening([_named(podSelector=selector, **OPEN)], LABELS) == ()


def test_policy_that_only_closes_widens_nothing() -> None:
    assert (
        fences.widening([_named(podSelector={}, policyTypes=["Ingress", "Egress"])], LABELS) == ()
    )


def test_policy_that_lets_in_widens_too_and_all_are_named_in_order() -> None:
    found = [_named("z", podSelector={}, ingress=[{}]), _named("a", podSelector={}, **OPEN)]
    assert fences.widening(found, LABELS) == ("a", "z")


def test_book_says_whether_what_a_policy_allows_has_changed() -> None:
    book = PolicyBook()
    assert book.enter(_named(podSelector={}))
    assert not book.enter(_named(podSelector={}))
    assert book.enter(_named(podSelector={}, **OPEN))
    assert not book.forget(_named("unknown"))
    assert book.forget(_named())
    assert book.of_namespace("ns") == ()


def test_full_list_replaces_the_book() -> None:
    book = PolicyBook()
    book.enter(_named("old"))
    book.replace([_named("new")])
    assert [p["metadata"]["name"] for p in book.of_namespace("ns")] == ["new"]
