"""Who asks: the credentials of a kubeconfig's user, as headers and a client certificate. I/O.

Programs that a kubeconfig names (`exec`) are run as kubectl runs them. They inherit the terminal,
for some ask for a password.
"""

import base64
import json
import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ringfence.client.kubeconfig import Unusable

Json = dict[str, Any]

_EXEC_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_EXEC_SECONDS: Final = 120.0


class Credentials(NamedTuple):
    """What a request carries.

    Attributes:
        headers: HTTP headers that say who asks.
        certificate: Client certificate and its key, PEM; empty without one.
        key: Its private key.
    """

    headers: dict[str, str]
    certificate: bytes = b""
    key: bytes = b""


def credentials(user: Json, cluster: Json, environment: Mapping[str, str]) -> Credentials:
    """The credentials of a user; runs its program if it has one.

    Raises:
        Unusable: They cannot be had.
    """
    if user.get("auth-provider"):
        message = "auth-provider is not supported, nor by kubectl since 1.26: use an exec plugin"
        raise Unusable(message)
    if user.get("exec"):
        user = user | _from_program(user["exec"], cluster, environment)
    certificate = content(user, "client-certificate")
    return Credentials(_headers(user), certificate, content(user, "client-key"))


def content(entry: Json, key: str) -> bytes:
    """What `KEY-data` holds, or the file that `KEY` names; empty if neither is given.

    Raises:
        Unusable: It cannot be read.
    """
    try:
        if entry.get(f"{key}-data"):
            text = "".join(entry[f"{key}-data"].split())
            return base64.b64decode(text, validate=True)
        return _read(entry[key]) if entry.get(key) else b""
    except (OSError, ValueError) as error:
        message = f"{key}: {error}"
        raise Unusable(message) from error


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _headers(user: Json) -> dict[str, str]:
    return _authorization(user) | _impersonation(user)


def _authorization(user: Json) -> dict[str, str]:
    token = content(user, "tokenFile").decode().strip() or user.get("token")
    if token:
        return {"Authorization": f"Bearer {token}"}
    if user.get("username"):
        pair = f"{user['username']}:{user.get('password', '')}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return {}


def _impersonation(user: Json) -> dict[str, str]:
    """One group at most: a second header of the same name has no place in a mapping.

    Raises:
        Unusable: There are more, and silently being fewer groups would mislead.
    """
    groups = user.get("as-groups") or []
    if len(groups) > 1 or user.get("as-user-extra"):
        message = "impersonation with several groups or extra values is not supported"
        raise Unusable(message)
    headers = {
        "Impersonate-User": user.get("as"),
        "Impersonate-Uid": user.get("as-uid"),
        "Impersonate-Group": groups[0] if groups else None,
    }
    return {name: value for name, value in headers.items() if value}


def _from_program(entry: Json, cluster: Json, environment: Mapping[str, str]) -> Json:
    """The part of a user that a credential program answers with."""
    version = entry.get("apiVersion")
    if version not in _EXEC_VERSIONS:
        message = f"exec plugin speaks {version}; known are {' and '.join(_EXEC_VERSIONS)}"
        raise Unusable(message)
    given = {pair["name"]: pair["value"] for pair in entry.get("env") or []}
    answer = _run(
        [entry["command"], *(entry.get("args") or [])],
        {**environment, **given, "KUBERNETES_EXEC_INFO": json.dumps(_info(entry, cluster))},
        entry.get("installHint"),
    )
    status = answer.get("status") or {}
    pem = {
        "client-certificate-data": status.get("clientCertificateData"),
        "client-key-data": status.get("clientKeyData"),
    }
    encoded = {k: base64.b64encode(v.encode()).decode() for k, v in pem.items() if v}
    return encoded | ({"token": status["token"]} if status.get("token") else {})


def _info(entry: Json, cluster: Json) -> Json:
    spec: Json = {"interactive": os.isatty(0)}
    if entry.get("provideClusterInfo"):
        spec["cluster"] = {
            "server": cluster["server"],
            "insecure-skip-tls-verify": cluster.get("insecure-skip-tls-verify", False),
            "certificate-authority-data": base64.b64encode(
                content(cluster, "certificate-authority")
            ).decode(),
        }
    return {"apiVersion": entry["apiVersion"], "kind": "ExecCredential", "spec": spec}


def _run(argv: list[str], environment: dict[str, str], hint: str | None) -> Json:
    import subprocess  # noqa: PLC0415 - most kubeconfigs need none

    try:
        done = subprocess.run(
            argv, env=environment, stdout=subprocess.PIPE, timeout=_EXEC_SECONDS, check=True
        )
        answer: Json = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        message = f"credential program {argv[0]}: {error}" + (f"; {hint}" if hint else "")
        raise Unusable(message) from error
    return answer
