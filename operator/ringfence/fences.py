"""Foreign NetworkPolicies that open what a Sandbox's own one closes. Pure.

Policies are a union: one more policy that selects the Pod can only allow more. The packet filter in
the Pod still holds, but the Sandbox no longer has the fence that its status promises.
"""

from collections.abc import Collection, Iterable, Mapping

from ringfence.api import Json


def widening(policies: Iterable[Json], labels: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the policies that select a Pod and let anything in or out.

    Args:
        policies: NetworkPolicies of the Pod's namespace, its own one left out.
        labels: Of the Pod.
    """
    found = (p for p in policies if _allows(p["spec"]) and _selects(p["spec"], labels))
    return tuple(sorted(policy["metadata"]["name"] for policy in found))


def widened_message(policies: Collection[str]) -> str:
    """What is wrong, and the way out."""
    listed = ", ".join(policies)
    return (
        f"NetworkPolicy {listed} selects the Pod as well and opens what the Sandbox's own policy "
        "closes; delete it, or let its podSelector leave out Pods with the labels "
        "ringfence.dev/sandbox-uid and ringfence.dev/gateway-uid"
    )


def _allows(spec: Json) -> bool:
    """A policy without rules only closes."""
    return bool(spec.get("ingress") or spec.get("egress"))


def _selects(spec: Json, labels: Mapping[str, str]) -> bool:
    selector = spec.get("podSelector") or {}
    pairs = (selector.get("matchLabels") or {}).items()
    expressions = selector.get("matchExpressions") or []
    return all(labels.get(key) == value for key, value in pairs) and all(
        _matches(expression, labels) for expression in expressions
    )


def _matches(expression: Json, labels: Mapping[str, str]) -> bool:
    """An operator that is not known yet counts as a match: better warned than surprised."""
    value, values = labels.get(expression["key"]), expression.get("values") or []
    verdicts = {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }
    return verdicts.get(expression["operator"], True)
