"""Decides what a Sandbox really gets: its wishes, its class's defaults and ceiling. Pure.

A list of small checks, in order of precedence, each naming the field and the way out. What comes
out (Effective) is all that the builders in resources/ may read.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ringfence import allowlist, bedrock, quantity
from ringfence.api import (
    ClassLimits,
    EgressRule,
    Invalid,
    Sandbox,
    SandboxClass,
    SandboxClassSpec,
    SandboxSpec,
)
from ringfence.api_identity import IdentityMode


@dataclass(frozen=True)
class Identity:
    """The AWS identity of a Sandbox that has one."""

    mode: IdentityMode
    role_arn: str
    region: str
    model_arns: tuple[str, ...]


@dataclass(frozen=True)
class Effective:
    """A Sandbox that its class accepts, with every default filled in."""

    sandbox: Sandbox
    class_name: str
    rules: SandboxClassSpec
    """Spec of the class."""
    image: str
    limits: ClassLimits
    egress: tuple[EgressRule, ...]
    """What the agent reaches through the egress proxy."""
    identity: Identity | None
    app_armor: str | None
    """AppArmor profile that the Pod asks for; None: none."""
    gateway_address: str | None = None
    """Address of the egress gateway; None while it is not known, and for a sidecar."""

    @property
    def behind_gateway(self) -> bool:
        """True if the egress proxy gets a Pod of its own."""
        return self.rules.egress.mode == "Gateway"


class CeilingExceeded(Invalid):
    """The spec asks for more than its class permits."""


def effective(sandbox: Sandbox, sandbox_class: SandboxClass) -> Effective:
    """What `sandbox` gets under `sandbox_class`.

    Raises:
        CeilingExceeded: Says for every field that goes too far what the class permits.
    """
    rules = sandbox_class.spec
    name = sandbox_class.metadata.name
    problems = [p for check in _CHECKS for p in check(sandbox.spec, rules)]
    if problems:
        message = f"SandboxClass {name!r} does not permit this: {'; '.join(problems)}"
        raise CeilingExceeded(message)
    identity = _identity(sandbox.spec, rules)
    return Effective(
        sandbox=sandbox,
        class_name=name,
        rules=rules,
        image=sandbox.spec.image or rules.images.default,
        limits=_limits(sandbox.spec, rules),
        egress=_egress(sandbox.spec, rules, identity),
        identity=identity,
        app_armor=None,
    )


def with_app_armor(wanted: Effective, own: str) -> Effective:
    """The same Sandbox under an AppArmor profile: its class's, or else the installation's own."""
    return replace(wanted, app_armor=wanted.rules.app_armor.profile or own)


def class_egress(rules: SandboxClassSpec) -> tuple[EgressRule, ...]:
    """Destinations of a Sandbox that names none."""
    if rules.egress.allow is not None:
        return rules.egress.allow
    return tuple(EgressRule(host=host) for host in allowlist.default_hosts())


def way_out(wanted: Effective) -> tuple[EgressRule, ...]:
    """All that the Pod has to reach: what the agent may, and what its identity needs."""
    identity = wanted.identity
    return (*wanted.egress, *(_aws(identity.region) if identity else ()))


def _aws(region: str) -> tuple[EgressRule, ...]:
    hosts = (bedrock.sts_host(region), bedrock.runtime_host(region))
    return tuple(EgressRule(host=host) for host in hosts)


def _egress(
    spec: SandboxSpec, rules: SandboxClassSpec, identity: Identity | None
) -> tuple[EgressRule, ...]:
    """An agent that holds credentials calls Bedrock itself, through the proxy."""
    asked = spec.egress.allow if spec.egress else class_egress(rules)
    if identity is None or identity.mode == "Proxy":
        return asked
    return (*asked, EgressRule(host=bedrock.runtime_host(identity.region)))


def _identity(spec: SandboxSpec, rules: SandboxClassSpec) -> Identity | None:
    asked = spec.identity
    if asked is None or asked.mode == "None" or asked.role_arn is None:
        return None
    ceiling = rules.identity
    return Identity(asked.mode, asked.role_arn, ceiling.region, ceiling.model_arns)


def _limits(spec: SandboxSpec, rules: SandboxClassSpec) -> ClassLimits:
    wished = spec.resources.model_dump(exclude_none=True)
    defaults = rules.default_limits.model_dump()
    return ClassLimits.model_validate(defaults | wished)


def _image_permitted(spec: SandboxSpec, rules: SandboxClassSpec) -> Iterable[str]:
    images = rules.images
    if spec.image and spec.image != images.default and not _matches(spec.image, images.allowed):
        yield f"spec.image {spec.image!r} is none of {_listed((images.default, *images.allowed))}"


def _limits_permitted(spec: SandboxSpec, rules: SandboxClassSpec) -> Iterable[str]:
    for field in ("cpu", "memory", "disk"):
        wish, most = getattr(spec.resources, field), getattr(rules.limits, field)
        if wish is not None and quantity.parse(wish) > quantity.parse(most):
            yield f"spec.resources.{field} {wish} is more than {most}"
    pids = spec.resources.pids
    if pids is not None and pids > rules.limits.pids:
        yield f"spec.resources.pids {pids} is more than {rules.limits.pids}"


def _limits_positive(spec: SandboxSpec, _rules: SandboxClassSpec) -> Iterable[str]:
    for field in ("cpu", "memory", "disk"):
        wish = getattr(spec.resources, field)
        if wish is not None and quantity.parse(wish) <= 0:
            yield f"spec.resources.{field} must be more than 0"


def _egress_permitted(spec: SandboxSpec, rules: SandboxClassSpec) -> Iterable[str]:
    permitted = (*class_egress(rules), *rules.egress.permitted)
    for rule in spec.egress.allow if spec.egress else ():
        if not any(_covers(p, rule) for p in permitted):
            ports = ",".join(str(p) for p in rule.ports)
            hosts = _listed(p.host for p in permitted)
            yield f"spec.egress.allow host {rule.host!r} port {ports} is covered by none of {hosts}"


def _role_permitted(spec: SandboxSpec, rules: SandboxClassSpec) -> Iterable[str]:
    arn = spec.identity.role_arn if spec.identity else None
    if arn and not _matches(arn, rules.identity.role_arns):
        yield f"spec.identity.roleArn {arn!r} is none of {_listed(rules.identity.role_arns)}"


def _mode_permitted(spec: SandboxSpec, rules: SandboxClassSpec) -> Iterable[str]:
    mode = spec.identity.mode if spec.identity else "None"
    if mode != "None" and mode not in rules.identity.modes:
        yield f"spec.identity.mode {mode!r} is none of {_listed((*rules.identity.modes, 'None'))}"


_Check = Callable[[SandboxSpec, SandboxClassSpec], Iterable[str]]


def _identity_beside_a_gateway(spec: SandboxSpec, rules: SandboxClassSpec) -> Iterable[str]:
    """A gateway has no token of the Sandbox to sign with."""
    asks = spec.identity is not None and spec.identity.mode != "None"
    if asks and rules.egress.mode == "Gateway":
        yield "spec.identity needs a class with egress.mode Sidecar"


_CHECKS: tuple[_Check, ...] = (
    _image_permitted,
    _limits_permitted,
    _limits_positive,
    _egress_permitted,
    _role_permitted,
    _mode_permitted,
    _identity_beside_a_gateway,
)


def _matches(value: str, patterns: Iterable[str]) -> bool:
    """True if a pattern is the value, or ends in `*` and the value starts with the rest."""
    return any(
        value.startswith(p.removesuffix("*")) if p.endswith("*") else value == p for p in patterns
    )


def _covers(permitted: EgressRule, asked: EgressRule) -> bool:
    """True if everything that `asked` lets through, `permitted` lets through too."""
    if not set(asked.ports) <= set(permitted.ports):
        return False
    if not permitted.host.startswith("*."):
        return asked.host == permitted.host
    return asked.host.removeprefix("*").endswith(permitted.host.removeprefix("*"))


def _listed(values: Iterable[str]) -> str:
    return ", ".join(repr(v) for v in values) or "(nothing)"
