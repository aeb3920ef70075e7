"""Quantities compare by value, whatever their spelling."""

from decimal import Decimal

import pytest

from ringfence import quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", "1"), ("500m", "0.5"), ("0.5", "0.5"), ("2Gi", "2147483648"), ("1k", "1000")],
)
def test_value_of_a_quantity(text: str, value: str) -> None:
    assert quantity.parse(text) == Decimal(value)


def test_smallest_keeps_its_spelling() -> None:
    assert quantity.smallest("1Gi", "2000Mi", "1073741823") == "1073741823"
