"""Where a Pod may run: its class's nodes, and of these only those that have its profiles. Pure.

The node agent labels its node only while the profiles are in place and verified. A Pod that
reached another node would not run either, for the runtime refuses it; this saves the attempt.
"""

from ringfence import names
from ringfence.api import Json
from ringfence.policy import Effective
from ringfence.resources.hardening import seccomp_profile


def placement(wanted: Effective) -> Json:
    """The fields of the Pod's spec that choose node and runtime."""
    rules = wanted.rules
    fields: Json = {"affinity": {"nodeAffinity": _has_profiles(wanted.app_armor)}}
    if rules.runtime_class_name:
        fields["runtimeClassName"] = rules.runtime_class_name
    if rules.node_selector:
        fields["nodeSelector"] = dict(rules.node_selector)
    if rules.tolerations:
        fields["tolerations"] = [
            t.model_dump(by_alias=True, exclude_none=True) for t in rules.tolerations
        ]
    return fields


def _has_profiles(app_armor: str | None) -> Json:
    wanted = [_is(names.seccomp_label(seccomp_profile()), names.SECCOMP_INSTALLED)]
    if app_armor:
        wanted.append(_is(names.app_armor_label(app_armor), names.APP_ARMOR_ENFORCED))
    term = {"matchExpressions": wanted}
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}


def _is(label: str, value: str) -> Json:
    return {"key": label, "operator": "In", "values": [value]}
