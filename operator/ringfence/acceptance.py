"""Accepts a Sandbox, or refuses it with the reason that its status will show. Pure.

Order of precedence: the spec itself, its class, the class's ceiling, the minimum isolation, foreign
objects in the way, a free uid.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from ringfence import fences, isolation, names
from ringfence.api import Invalid, Json, ObjectMeta, Sandbox, SandboxClass
from ringfence.kinds import POD, SERVICE, Kind
from ringfence.nodes import Nodes, all_confine, profiles_of
from ringfence.pod_state import has_gateway
from ringfence.policy import CeilingExceeded, Effective, effective, with_app_armor
from ringfence.resources.environment import proxy_address
from ringfence.resources.metadata import gateway_pod_labels, labels
from ringfence.resources.pod import pod as build_pod
from ringfence.settings import Settings
from ringfence.status import Reason


@dataclass(frozen=True)
class Observed:
    """Everything that a decision reads, gathered at one time."""

    body: Json
    """The Sandbox as read."""
    classes: tuple[Json, ...]
    """The class that spec.className names, or every class if it names none."""
    children: dict[Kind, Json]
    """Objects that exist under the children's name, whoever owns them."""
    uid: int | None
    """uid reserved for this Sandbox; None when all are taken."""
    now: datetime
    nodes: Nodes
    """What is known about the nodes."""
    policies: tuple[Json, ...] = ()
    """NetworkPolicies of the namespace that do not belong to a Sandbox."""
    gateway: dict[Kind, Json] = field(default_factory=dict)
    """The same under the name of the egress gateway, where there may be one."""

    @property
    def widened(self) -> tuple[str, ...]:
        """Names of the policies that open what the Sandbox's own ones close."""
        opened = {*fences.widening(self.policies, labels(self.owner))}
        if POD in self.gateway:
            opened |= {*fences.widening(self.policies, gateway_pod_labels(self.owner))}
        return tuple(sorted(opened))

    @property
    def owner(self) -> ObjectMeta:
        """Metadata of the Sandbox."""
        return ObjectMeta.model_validate(self.body["metadata"])

    @property
    def status(self) -> Json:
        """Status of the Sandbox as read; empty at first."""
        found: Json = self.body.get("status", {})
        return found

    @property
    def pod(self) -> Json | None:
        """The Pod, if there is one."""
        return self.children.get(POD)

    def with_object(self, kind: Kind, body: Json) -> Self:
        """As after a write: with this child."""
        if self._is_gateways(body["metadata"]["name"]):
            return replace(self, gateway={**self.gateway, kind: body})
        return replace(self, children={**self.children, kind: body})

    def without_object(self, kind: Kind, name: str) -> Self:
        """As after a write: without that child."""
        if self._is_gateways(name):
            return replace(self, gateway={k: b for k, b in self.gateway.items() if k != kind})
        return replace(self, children={k: b for k, b in self.children.items() if k != kind})

    def _is_gateways(self, name: str) -> bool:
        return name == names.gateway_name(self.owner.name)


class Refused(Exception):  # noqa: N818 - a verdict that travels up, not an error
    """The Sandbox gets no Pod."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Accepted:
    """An accepted Sandbox with all that its steps need."""

    seen: Observed
    settings: Settings
    wanted: Effective
    uid: int
    pod: Json
    """The Pod as it should be."""

    @property
    def generation(self) -> int:
        """Generation of the spec that was accepted."""
        return self.seen.owner.generation


def accept(seen: Observed, settings: Settings) -> Accepted:
    """The Sandbox as its class accepts it.

    Raises:
        Refused: With the reason for the condition Ready.
    """
    sandbox = _parse_sandbox(seen.body)
    wanted = _wanted(sandbox, _pick_class(sandbox, seen.classes))
    wanted = _with_app_armor(seen, settings, _with_gateway_address(seen, wanted))
    if problems := isolation.below_minimum(wanted.rules, wanted.app_armor):
        raise Refused(Reason.ISOLATION_BELOW_MINIMUM, "; ".join(problems))
    _refuse_foreign(seen, wanted)
    if seen.uid is None:
        message = f"uids {settings.uid_first} to {settings.uid_last} are all taken; widen the range"
        raise Refused(Reason.UIDS_EXHAUSTED, message)
    built = build_pod(wanted, settings, seen.uid)
    return Accepted(seen=seen, settings=settings, wanted=wanted, uid=seen.uid, pod=built)


def _parse_sandbox(body: Json) -> Sandbox:
    try:
        return Sandbox.parse(body)
    except Invalid as error:
        raise Refused(Reason.INVALID_SPEC, error.message) from error


def _pick_class(sandbox: Sandbox, classes: tuple[Json, ...]) -> SandboxClass:
    """The named class, or the newest default (as for StorageClasses)."""
    if sandbox.spec.class_name is None:
        classes = tuple(c for c in classes if _is_default(c))
    if not classes:
        raise Refused(Reason.CLASS_NOT_FOUND, _no_class(sandbox.spec.class_name))
    newest = max(classes, key=lambda c: str(c["metadata"].get("creationTimestamp", "")))
    try:
        return SandboxClass.parse(newest)
    except Invalid as error:
        message = f"SandboxClass {newest['metadata']['name']!r}: {error.message}"
        raise Refused(Reason.CLASS_INVALID, message) from error


def _is_default(body: Json) -> bool:
    annotations = body["metadata"].get("annotations") or {}
    return annotations.get(names.DEFAULT_CLASS_ANNOTATION) == "true"


def _no_class(name: str | None) -> str:
    if name is None:
        return (
            "spec.className is empty and no SandboxClass is the default; name one, or annotate one "
            f'with {names.DEFAULT_CLASS_ANNOTATION}: "true"'
        )
    return f"spec.className: no SandboxClass {name!r}; see kubectl get sandboxclasses"


def _wanted(sandbox: Sandbox, sandbox_class: SandboxClass) -> Effective:
    try:
        return effective(sandbox, sandbox_class)
    except CeilingExceeded as error:
        raise Refused(Reason.CLASS_CEILING_EXCEEDED, error.message) from error


def may_have_gateway(body: Json, classes: tuple[Json, ...]) -> bool:
    """True if a Sandbox has an egress gateway, or if one of these classes would give it one."""
    modes = ((c["spec"].get("egress") or {}).get("mode") for c in classes)
    return bool(body.get("status", {}).get("gatewayPodName")) or "Gateway" in modes


def gateway_address(seen: Observed) -> str | None:
    """The address of the Service; while it is missing, the one that the Pod was made with."""
    if service := seen.gateway.get(SERVICE):
        address: str | None = service["spec"].get("clusterIP")
        return address
    return proxy_address(seen.pod) if seen.pod and has_gateway(seen.pod) else None


def _with_gateway_address(seen: Observed, wanted: Effective) -> Effective:
    found = gateway_address(seen) if wanted.behind_gateway else None
    return replace(wanted, gateway_address=found)


def _with_app_armor(seen: Observed, settings: Settings, wanted: Effective) -> Effective:
    """What the class's mode comes to."""
    mode = wanted.rules.app_armor.mode
    confined = with_app_armor(wanted, settings.app_armor_profile)
    if mode == "Auto":
        return _auto(seen, settings, wanted, confined)
    return confined if mode == "Required" else wanted


def _auto(seen: Observed, settings: Settings, wanted: Effective, confined: Effective) -> Effective:
    """Decided once, when the Pod is made: a Pod keeps what it was made with."""
    if seen.pod is None:
        everywhere = all_confine(seen.nodes, settings.seccomp_profile, confined.app_armor or "")
        return confined if everywhere else wanted
    if seen.uid is not None:
        for choice in (wanted, confined):
            if is_built_as(build_pod(choice, settings, seen.uid), seen.pod):
                return choice
    return confined if profiles_of(seen.pod).app_armor else wanted


def is_built_as(wanted: Json, pod: Json) -> bool:
    """True if the Pod was built from the same spec as `wanted`, by the hash that it carries."""
    key = names.SPEC_HASH_ANNOTATION
    hashes = (body["metadata"].get("annotations", {}).get(key) for body in (wanted, pod))
    return len({*hashes}) == 1


def _refuse_foreign(seen: Observed, wanted: Effective) -> None:
    """Applying over somebody else's object would hijack it."""
    for kind, child in _taken_names(seen, wanted):
        if not is_ours(child, wanted.sandbox.metadata.uid):
            name = child["metadata"]["name"]
            message = (
                f"{kind.kind} {name!r} exists and does not belong to this Sandbox; "
                "delete it, or give the Sandbox another name"
            )
            raise Refused(Reason.NAME_CONFLICT, message)


def _taken_names(seen: Observed, wanted: Effective) -> Iterator[tuple[Kind, Json]]:
    """Who needs no gateway has no quarrel over its name."""
    yield from seen.children.items()
    if wanted.behind_gateway or (seen.pod and has_gateway(seen.pod)):
        yield from seen.gateway.items()


def is_ours(child: Json, sandbox_uid: str) -> bool:
    """True if the Sandbox with this metadata.uid is the controller of the child."""
    owners = child["metadata"].get("ownerReferences", [])
    return any(o["uid"] == sandbox_uid and o.get("controller") for o in owners)
