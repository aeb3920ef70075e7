"""What a Pod needs for its AWS identity: a token, a program that uses it, and who reads the result.

The token is mounted in that program's container and nowhere else, the socket to STS there and in
the proxy. The credentials reach the proxy, which signs, or in mode TemporaryCredentials the agent.
No environment variable holds a secret. Pure.
"""

from typing import Final

from ringfence import bedrock, names
from ringfence.api import Json
from ringfence.policy import Effective, Identity
from ringfence.resources.envoy_bedrock import SIGNING_PORT, Paths
from ringfence.resources.envoy_common import PROXY_ADDRESS
from ringfence.settings import Settings

NO_KEY: Final = {
    "AWS_ACCESS_KEY_ID": "not-a-key",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret-the-egress-proxy-signs",
}
"""SDKs want something to sign with, and the proxy replaces their signature. A bearer token would
say it better, for Bedrock alone, but botocore sends none over plain HTTP."""

_PROXY_URL: Final = f"http://{PROXY_ADDRESS}:{SIGNING_PORT}"
_PATHS: Final = Paths()
_CREDENTIALS_DIRECTORY: Final = _PATHS.credentials.rpartition("/")[0]
_SOCKET_DIRECTORY: Final = _PATHS.socket.rpartition("/")[0]
_TOKEN_DIRECTORY: Final = "/run/token"  # noqa: S105 - a path
_TOKEN_SECONDS: Final = 3600
"""The kubelet renews it when four fifths of that are over."""

_TOKEN_VOLUME: Final = "aws-iam-token"  # noqa: S105 - the name of a volume
"""As EKS's webhook (IRSA) would call its own: it leaves a Pod alone that has such a volume."""
_SOCKET_VOLUME: Final = "aws-sts"
_CREDENTIALS_VOLUME: Final = "aws-credentials"

_CREATE_AND_RUN: Final = '[ -e "$0" ] || echo "[default]" >"$0"; exec "$@"'
"""Envoy watches only a file that is there, and not empty, when it starts."""


def variables(wanted: Effective) -> dict[str, str]:
    """The agent's variables that make AWS SDKs and Claude Code use the identity."""
    identity = wanted.identity
    if identity is None:
        return {}
    region = {"AWS_DEFAULT_REGION": identity.region}  # boto3 reads only this one
    if identity.mode == "TemporaryCredentials":
        # SDKs read a shared credentials file once; a process tells them when to ask again.
        return region | {"AWS_CONFIG_FILE": f"{_CREDENTIALS_DIRECTORY}/config"}
    return {
        **region,
        **NO_KEY,
        "ANTHROPIC_BEDROCK_BASE_URL": _PROXY_URL,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": _PROXY_URL,
        "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1",
    }


def volumes(wanted: Effective) -> list[Json]:
    """Token, socket and credentials; the latter two in memory."""
    if wanted.identity is None:
        return []
    token = {
        "audience": bedrock.AUDIENCE,
        "expirationSeconds": _TOKEN_SECONDS,
        "path": "token",
    }
    return [
        {
            "name": _TOKEN_VOLUME,
            "projected": {"defaultMode": 0o440, "sources": [{"serviceAccountToken": token}]},
        },
        _in_memory(_SOCKET_VOLUME),
        _in_memory(_CREDENTIALS_VOLUME),
    ]


def _in_memory(name: str) -> Json:
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}


def proxy_command(wanted: Effective, envoy: list[str]) -> list[str]:
    """The proxy's command line; where it signs, it finds a file to watch."""
    if not _signs(wanted):
        return envoy
    return ["/bin/busybox", "sh", "-c", _CREATE_AND_RUN, _PATHS.credentials, *envoy]


def proxy_memory(wanted: Effective) -> str:
    """The proxy's memory limit: one that signs holds whole bodies."""
    return "512Mi" if _signs(wanted) else "256Mi"


def proxy_mounts(wanted: Effective) -> list[Json]:
    """The proxy makes the socket, and reads the credentials if it signs."""
    if wanted.identity is None:
        return []
    socket = {"name": _SOCKET_VOLUME, "mountPath": _SOCKET_DIRECTORY}
    keys = {"name": _CREDENTIALS_VOLUME, "mountPath": _CREDENTIALS_DIRECTORY}
    return [socket, keys] if _signs(wanted) else [socket]


def agent_mounts(wanted: Effective) -> list[Json]:
    """The agent sees credentials only in the mode that says so."""
    if wanted.identity is None or _signs(wanted):
        return []
    mount = {"name": _CREDENTIALS_VOLUME, "mountPath": _CREDENTIALS_DIRECTORY, "readOnly": True}
    return [mount]


def _signs(wanted: Effective) -> bool:
    return wanted.identity is not None and wanted.identity.mode == "Proxy"


def containers(wanted: Effective, settings: Settings) -> list[Json]:
    """The program, a native sidecar: the agent starts only after there are credentials."""
    identity = wanted.identity
    if identity is None:
        return []
    file = ["--file", _PATHS.credentials]
    hook = ["ringfence-credentials", "--wait", *file]
    container = {
        "name": names.CREDENTIALS_CONTAINER,
        "image": settings.operator_image,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "command": ["ringfence-credentials", *file, *_arguments(identity, _session(wanted))],
        "lifecycle": {"postStart": {"exec": {"command": hook}}},
        "resources": {
            "limits": {"cpu": "500m", "memory": "96Mi", "ephemeral-storage": "16Mi"},
            "requests": {"cpu": "5m", "memory": "24Mi", "ephemeral-storage": "8Mi"},
        },
        "volumeMounts": [
            {"name": _TOKEN_VOLUME, "mountPath": _TOKEN_DIRECTORY, "readOnly": True},
            {"name": _SOCKET_VOLUME, "mountPath": _SOCKET_DIRECTORY},
            {"name": _CREDENTIALS_VOLUME, "mountPath": _CREDENTIALS_DIRECTORY},
        ],
    }
    return [container]


def _arguments(identity: Identity, session: str) -> list[str]:
    return [
        *("--format", "shared" if identity.mode == "Proxy" else "process"),
        *("--role-arn", identity.role_arn),
        *("--session", session),
        *("--policy", bedrock.session_policy(identity.model_arns)),
        *("--sts", bedrock.sts_host(identity.region)),
        *("--through", _PATHS.socket),
        *("--token", f"{_TOKEN_DIRECTORY}/token"),
    ]


def _session(wanted: Effective) -> str:
    """Stands in CloudTrail beside each call: at most 64 characters of those that IAM takes."""
    meta = wanted.sandbox.metadata
    return f"{meta.namespace}.{names.child_name(meta.name)}"[:64]
