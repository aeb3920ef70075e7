"""The Pod of a Sandbox, as one literal that reads like its YAML; hardened at the very end. Pure.

Defaults of the API server are written out, so that a Pod read back can be compared field by field.
"""

import hashlib
import json
from typing import Final

from ringfence import names, quantity
from ringfence.api import Json
from ringfence.nodes import Profiles
from ringfence.policy import Effective
from ringfence.resources import egress, identity, workspace
from ringfence.resources.environment import environment
from ringfence.resources.fence import fence_variable, guard, is_fenced
from ringfence.resources.gateway_guard import gateway_guard
from ringfence.resources.hardening import harden
from ringfence.resources.limits import limits_variable
from ringfence.resources.metadata import metadata
from ringfence.resources.placement import placement
from ringfence.settings import Settings

GRACE_SECONDS: Final = 10
"""Time between SIGTERM and SIGKILL; agents keep nothing that a longer one would save."""

_OPTIONAL_ANNOTATIONS: Final = {
    # IRSA's webhook would mount a token and set AWS_* in every container. It leaves a Pod alone
    # that has a volume of the name that it uses (resources/identity.py); this is a second belt.
    "eks.amazonaws.com/skip-containers": f"{names.AGENT_CONTAINER},{names.GUARD_CONTAINER}",
    # Argo CD calls Pods with restartPolicy Never "Progressing" until they end.
    "argocd.argoproj.io/ignore-restart-policy": "true",
}


def pod(wanted: Effective, settings: Settings, uid: int) -> Json:
    """The hardened Pod, with the hashes of its spec and of its allowlist in annotations.

    Args:
        wanted: The accepted Sandbox.
        settings: The installation.
        uid: User id of the agent, unique among all Sandboxes.
    """
    profiles = Profiles(settings.seccomp_profile, wanted.app_armor)
    body = harden(_pod(wanted, settings, profiles), wanted.rules, profiles, uid)
    return with_hashes(body, wanted)


def with_hashes(body: Json, wanted: Effective) -> Json:
    """The Pod with what tells later whether it was built from the same spec and allowlist."""
    body["metadata"]["annotations"] |= {
        names.SPEC_HASH_ANNOTATION: _short_hash(body["spec"]),
        names.EGRESS_HASH_ANNOTATION: _short_hash([r.model_dump() for r in wanted.egress]),
    }
    return body


def _short_hash(content: object) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _pod(wanted: Effective, settings: Settings, profiles: Profiles) -> Json:
    spec: Json = {
        "serviceAccountName": names.child_name(wanted.sandbox.metadata.name),
        "restartPolicy": wanted.sandbox.spec.restart_policy,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "initContainers": _init_containers(wanted, settings),
        "containers": [_agent(wanted)],
        "volumes": _volumes(wanted),
        **placement(wanted.rules, profiles),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(wanted.sandbox.metadata, _OPTIONAL_ANNOTATIONS),
        "spec": spec,
    }


def _agent(wanted: Effective) -> Json:
    spec, limits, requests = wanted.sandbox.spec, wanted.limits, wanted.rules.requests
    disk_request, disk_limit = workspace.ephemeral_storage(wanted)
    container: Json = {
        "name": names.AGENT_CONTAINER,
        "image": wanted.image,
        "imagePullPolicy": "IfNotPresent",
        "env": environment(wanted),
        "workingDir": "/work",
        "resources": {
            "limits": {
                "cpu": limits.cpu,
                "memory": limits.memory,
                "ephemeral-storage": disk_limit,
            },
            "requests": {
                "cpu": _at_most(requests.cpu, limits.cpu),
                "memory": _at_most(requests.memory, limits.memory),
                "ephemeral-storage": disk_request,
            },
        },
        "volumeMounts": [*workspace.mounts(wanted), *identity.agent_mounts(wanted)],
        **_TERMINATION,
        "terminationMessagePath": _OUT_OF_REACH,
    }
    if spec.command is not None:
        container["command"] = list(spec.command)
    if spec.args is not None:
        container["args"] = list(spec.args)
    return container


def _proxy(wanted: Effective, settings: Settings) -> Json:
    """A native sidecar: the agent starts only after its hook has seen it listen, and limited.

    Under another runtime the hook does not see the node's control groups; the class chooses that.
    """
    hook = egress.wait_args(limits=wanted.rules.runtime_class_name is None)
    plain = proxy(settings, hook)
    limits = plain["resources"]["limits"] | {"memory": identity.proxy_memory(wanted)}
    return plain | {
        "command": identity.proxy_command(wanted, plain["command"]),
        "restartPolicy": "Always",
        "env": _node_variables(wanted, settings),
        "resources": plain["resources"] | {"limits": limits},
        "volumeMounts": [*plain["volumeMounts"], *identity.proxy_mounts(wanted)],
    }


def proxy(settings: Settings, hook: list[str]) -> Json:
    """Envoy, in whichever Pod; its container has started once the hook ends well."""
    return {
        "name": names.PROXY_CONTAINER,
        "image": settings.proxy_image,
        "imagePullPolicy": "IfNotPresent",
        "command": egress.envoy_args(),
        "lifecycle": {"postStart": {"exec": {"command": hook}}},
        "resources": {
            "limits": {"cpu": "1", "memory": "256Mi", "ephemeral-storage": "64Mi"},
            "requests": {"cpu": "10m", "memory": "64Mi", "ephemeral-storage": "16Mi"},
        },
        "volumeMounts": [
            {"name": "egress-config", "mountPath": "/etc/envoy", "readOnly": True},
        ],
        **_TERMINATION,
    }


def _node_variables(wanted: Effective, settings: Settings) -> list[Json]:
    """What the node agent reads."""
    fences = [fence_variable(wanted, settings)] if is_fenced(wanted) else []
    return [limits_variable(wanted), *fences]


def _init_containers(wanted: Effective, settings: Settings) -> list[Json]:
    """What comes before the agent: its proxy, and the proof that it is the only way out."""
    if wanted.behind_gateway:
        return [gateway_guard(wanted, settings)]
    guards = [guard(settings)] if is_fenced(wanted) else []
    return [_proxy(wanted, settings), *_credentials(wanted, settings), *guards]


def _credentials(wanted: Effective, settings: Settings) -> list[Json]:
    return [c | _TERMINATION for c in identity.containers(wanted, settings)]


_TERMINATION: Final = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}


_OUT_OF_REACH: Final = "/root/.termination-log"
"""The kubelet mounts a file of the node's own disk here, which everybody may write and no limit
counts. It cannot be left out, so it lies where only root may go: images keep root's home closed."""


def _volumes(wanted: Effective) -> list[Json]:
    config = [] if wanted.behind_gateway else [config_volume(wanted)]
    return [*workspace.volumes(wanted), *config, *identity.volumes(wanted)]


def config_volume(wanted: Effective) -> Json:
    """The proxy's files."""
    config: Json = {"name": names.child_name(wanted.sandbox.metadata.name), "defaultMode": 0o444}
    return {"name": "egress-config", "configMap": config}


def _at_most(request: str, limit: str) -> str:
    return quantity.smallest(request, limit)
