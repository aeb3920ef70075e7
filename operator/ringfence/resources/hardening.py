"""Hardening: what makes a Pod a Sandbox. Applied last, over whatever was built before. Pure.

Nothing that an author writes reaches this module; only the class chooses between user namespaces
on or off and AppArmor required or not. Layers 1 to 3 of docs/security.md.
"""

from functools import cache
from typing import Final

from ringfence import names
from ringfence.api import Json, SandboxClassSpec
from ringfence.policy import Effective
from ringfence.profiles import seccomp

APPARMOR_ANNOTATION: Final = "container.apparmor.security.beta.kubernetes.io/"
"""Deprecated since Kubernetes 1.30, still read by older kubelets. Must equal the field."""


def harden(pod: Json, wanted: Effective, uid: int) -> Json:
    """`pod` with every security field set and every dangerous one removed.

    Args:
        pod: A Pod whose containers are named AGENT_CONTAINER or PROXY_CONTAINER.
        wanted: The accepted Sandbox, of which only the class's decisions are read.
        uid: User id of the agent container.
    """
    spec = {k: v for k, v in pod["spec"].items() if k not in _FORBIDDEN}
    spec |= _pod_fields(wanted.rules, uid)
    for field in ("initContainers", "containers"):
        spec[field] = [_container(c, wanted.app_armor, uid) for c in spec[field]]
    annotations = pod["metadata"].get("annotations", {}) | _annotations(wanted.app_armor)
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


def _container(container: Json, app_armor: str | None, uid: int) -> Json:
    agent = container["name"] == names.AGENT_CONTAINER
    user = uid if agent else names.PROXY_UID
    context: Json = {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "procMount": "Default",
        "seccompProfile": _seccomp(agent=agent),
    }
    if app_armor:
        context["appArmorProfile"] = _app_armor(app_armor, agent=agent)
    return container | {"securityContext": context}


def _seccomp(*, agent: bool) -> Json:
    if agent:
        return {"type": "Localhost", "localhostProfile": seccomp_profile()}
    return {"type": "RuntimeDefault"}


@cache
def seccomp_profile() -> str:
    """The profile that every agent container names.

    The name hashes the whole profile, which takes 25 ms; it cannot change in a process.
    """
    return seccomp.localhost_profile()


def _app_armor(profile: str, *, agent: bool) -> Json:
    """The field stands on every container: a Pod-level one could be overridden by annotation."""
    if agent:
        return {"type": "Localhost", "localhostProfile": profile}
    return {"type": "RuntimeDefault"}


def _annotations(app_armor: str | None) -> dict[str, str]:
    if not app_armor:
        return {}
    return {
        APPARMOR_ANNOTATION + names.AGENT_CONTAINER: f"localhost/{app_armor}",
        APPARMOR_ANNOTATION + names.PROXY_CONTAINER: "runtime/default",
    }
