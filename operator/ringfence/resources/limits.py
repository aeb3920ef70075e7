"""The limits that no field of a Pod can express, as the node agent reads them. Pure.

They stand in the Pod's spec, which nobody can change after the Pod was made, and on the proxy's
container, of which no author writes a line.
"""

import json
import math

from ringfence import names, quantity
from ringfence.api import ClassIo, Json
from ringfence.policy import Effective


def limits_variable(wanted: Effective) -> Json:
    """The environment variable of the proxy container."""
    limits: Json = {"pids": wanted.limits.pids, "diskBytes": _whole(wanted.limits.disk)}
    rates = _rates(wanted.rules.io)
    if rates:
        limits["io"] = rates
    value = json.dumps(limits, sort_keys=True, separators=(",", ":"))
    return {"name": names.LIMITS_VARIABLE, "value": value}


def _rates(io: ClassIo) -> dict[str, int]:
    given = io.model_dump(by_alias=True, exclude_none=True)
    return {name: _whole(str(rate)) for name, rate in given.items()}


def _whole(amount: str) -> int:
    """A quantity in base units, rounded up as the API server rounds."""
    return math.ceil(quantity.parse(amount))
