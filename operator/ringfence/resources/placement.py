"""Where a Pod may run: its class's nodes, and of these only those that have its profiles. Pure.

The node agent labels its node only while the profiles are in place and verified. A Pod that
reached another node would not run either, for the runtime refuses it; this saves the attempt.
"""

from ringfence import names
from ringfence.api import Json, SandboxClassSpec
from ringfence.nodes import Profiles


def placement(rules: SandboxClassSpec, profiles: Profiles) -> Json:
    """The fields of the Pod's spec that choose node and runtime."""
    fields: Json = {"affinity": {"nodeAffinity": _has(profiles)}}
    if rules.runtime_class_name:
        fields["runtimeClassName"] = rules.runtime_class_name
    if rules.node_selector:
        fields["nodeSelector"] = dict(rules.node_selector)
    if rules.tolerations:
        fields["tolerations"] = [
            t.model_dump(by_alias=True, exclude_none=True) for t in rules.tolerations
        ]
    return fields


def _has(profiles: Profiles) -> Json:
    wanted = [_is(names.seccomp_label(profiles.seccomp), names.SECCOMP_INSTALLED)]
    if profiles.app_armor:
        wanted.append(_is(names.app_armor_label(profiles.app_armor), names.APP_ARMOR_ENFORCED))
    term = {"matchExpressions": wanted}
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}


def _is(label: str, value: str) -> Json:
    return {"key": label, "operator": "In", "values": [value]}
