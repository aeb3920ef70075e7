"""Kubernetes quantities (`500m`, `2Gi`) as exact numbers, to compare a wish with a ceiling.

Rules: the Kubernetes API reference, `resource.Quantity`. Pure.
"""

from decimal import Decimal
from typing import Final

PATTERN: Final = r"^([0-9]+|[0-9]+\.[0-9]+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
"""The part of the quantity grammar that a Sandbox may use: no sign, no exponent."""

_SUFFIXES: Final = {
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
}


def parse(quantity: str) -> Decimal:
    """The exact value in base units (cores, bytes) of a quantity that matches PATTERN."""
    for suffix, factor in _SUFFIXES.items():
        if quantity.endswith(suffix):
            return Decimal(quantity.removesuffix(suffix)) * factor
    return Decimal(quantity)


def smallest(*quantities: str) -> str:
    """The quantity with the least value, in its own spelling."""
    return min(quantities, key=parse)
