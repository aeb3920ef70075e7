"""Hardening: what makes a Pod a Sandbox. Applied last, over whatever was built before. Pure.

Nothing that an author writes reaches this module; only the class chooses between user namespaces
on or off and AppArmor required or not. Layers 1 to 3 of docs/security.md.
"""

from typing import Final

from ringfence import names
from ringfence.api import Json, SandboxClassSpec
from ringfence.nodes import Profiles

_AGENTS_UID: Final = frozenset({names.AGENT_CONTAINER, names.GUARD_CONTAINER})
"""The guard proves what the agent's uid can do; all others are out of its reach as the proxy is."""

APPARMOR_ANNOTATION: Final = "container.apparmor.security.beta.kubernetes.io/"
"""Deprecated since Kubernetes 1.30, still read by older kubelets. Must equal the field."""


def harden(pod: Json, rules: SandboxClassSpec, profiles: Profiles, uid: int) -> Json:
    """`pod` with every security field set and every dangerous one removed.

    Args:
        pod: A Pod whose agent container is named AGENT_CONTAINER; all others are our own.
        rules: Spec of the class.
        profiles: What the agent container is confined by.
        uid: User id of the agent and of its guard.
    """
    spec = {k: v for k, v in pod["spec"].items() if k not in _FORBIDDEN}
    spec |= _pod_fields(rules, uid)
    for field in ("initContainers", "containers"):
        spec[field] = [_container(c, profiles, uid) for c in spec[field]]
    annotations = _without_profiles(pod) | _annotations(spec, profiles.app_armor)
    return pod | {"metadata": pod["metadata"] | {"annotations": annotations}, "spec": spec}


_FORBIDDEN: Final = frozenset(
    {"hostNetwork", "hostPID", "hostIPC", "hostAliases", "ephemeralContainers", "nodeName"}
)


def _pod_fields(rules: SandboxClassSpec, uid: int) -> Json:
    fields: Json = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "shareProcessNamespace": False,
        "dnsPolicy": "None",
        # The agent has no DNS; the proxy asks its resolver by address. An empty list is refused.
        "dnsConfig": {"nameservers": ["127.0.0.1"]},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": uid,
            "runAsGroup": uid,
            "fsGroup": uid,
            "fsGroupChangePolicy": "OnRootMismatch",
            "supplementalGroupsPolicy": "Strict",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return fields | ({"hostUsers": False} if rules.user_namespaces == "Enabled" else {})


def _container(container: Json, profiles: Profiles, uid: int) -> Json:
    agent = container["name"] == names.AGENT_CONTAINER
    user = uid if container["name"] in _AGENTS_UID else names.PROXY_UID
    context: Json = {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "procMount": "Default",
        "seccompProfile": _seccomp(profiles.seccomp, agent=agent),
    }
    if profiles.app_armor:
        context["appArmorProfile"] = _app_armor(profiles.app_armor, agent=agent)
    return container | {"securityContext": context}


def _seccomp(profile: str, *, agent: bool) -> Json:
    if agent:
        return {"type": "Localhost", "localhostProfile": profile}
    return {"type": "RuntimeDefault"}


def _app_armor(profile: str, *, agent: bool) -> Json:
    """The field stands on every container: a Pod-level one could be overridden by annotation."""
    if agent:
        return {"type": "Localhost", "localhostProfile": profile}
    return {"type": "RuntimeDefault"}


def _without_profiles(pod: Json) -> dict[str, str]:
    """The annotations but those that the API server would copy into a container's field."""
    annotations = pod["metadata"].get("annotations", {})
    return {k: v for k, v in annotations.items() if not k.startswith(APPARMOR_ANNOTATION)}


def _annotations(spec: Json, app_armor: str | None) -> dict[str, str]:
    """One for each container: the API server refuses one that names no container."""
    if not app_armor:
        return {}
    own = {names.AGENT_CONTAINER: f"localhost/{app_armor}"}
    present = [c["name"] for c in (*spec["initContainers"], *spec["containers"])]
    return {APPARMOR_ANNOTATION + name: own.get(name, "runtime/default") for name in present}
