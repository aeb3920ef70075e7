"""As much of IAM's evaluation as the policies of manifests/aws use. Pure.

moto keeps policies but does not apply them to web identities and models. A statement that uses more
than is understood here is an error, never a permission.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

Json = dict[str, Any]
_KEYS = {"Sid", "Effect", "Action", "Resource", "NotResource", "Principal", "Condition"}


def trusts(policy: Json, claims: Mapping[str, str]) -> bool:
    """True if a trust policy lets somebody with a token of these claims assume the role."""
    return any(_trusts(statement, claims) for statement in _statements(policy))


def _trusts(statement: Json, claims: Mapping[str, str]) -> bool:
    provider = statement["Principal"]["Federated"].partition("oidc-provider/")[2]
    conditions = statement["Condition"]
    if set(conditions) != {"StringEquals"}:
        message = f"conditions that are not understood: {sorted(conditions)}"
        raise ValueError(message)
    wanted = {key.removeprefix(f"{provider}:"): v for key, v in conditions["StringEquals"].items()}
    return statement["Effect"] == "Allow" and all(claims.get(k) == v for k, v in wanted.items())


def allows(policies: Iterable[Json], action: str, resource: str) -> bool:
    """True if every one of the policies (role, boundary, session) permits the action."""
    return all(_allows(policy, action, resource) for policy in policies)


def _allows(policy: Json, action: str, resource: str) -> bool:
    effects = {s["Effect"] for s in _statements(policy) if _applies(s, action, resource)}
    return effects == {"Allow"}


def _applies(statement: Json, action: str, resource: str) -> bool:
    if not _matches(statement["Action"], action):
        return False
    if "NotResource" in statement:
        return not _matches(statement["NotResource"], resource)
    return _matches(statement["Resource"], resource)


def _matches(patterns: str | list[str], value: str) -> bool:
    found = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatchcase(value, pattern) for pattern in found)


def _statements(policy: Json) -> list[Json]:
    statements: list[Json] = policy["Statement"]
    for statement in statements:
        if unknown := set(statement) - _KEYS:
            message = f"not understood: {sorted(unknown)}"
            raise ValueError(message)
    return statements
