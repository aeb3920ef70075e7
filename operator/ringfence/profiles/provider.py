"""Who brings the profiles to the nodes, and what Pods then call them.

Pure. The operator and the node agent both ask here, so that a Pod never names another profile than
the one its node was checked for. It must not read a node or the environment.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import Any, Final, NamedTuple

from ringfence.profiles import apparmor, seccomp, spo
from ringfence.profiles.validate import docker_keys

_DIRECTORIES: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]*/)*")


class Provider(StrEnum):
    """Who puts the profiles in place."""

    BUILTIN = "Builtin"
    """Our own node agent."""
    SECURITY_PROFILES_OPERATOR = "SecurityProfilesOperator"
    """That operator, from objects which our chart installs."""
    PREINSTALLED = "Preinstalled"
    """The administrator, with the node image or otherwise; the profiles may be others than ours."""


class ProfileNames(NamedTuple):
    """What a Pod says.

    Attributes:
        seccomp: `seccompProfile.localhostProfile`: a path below the kubelet's seccomp directory.
        app_armor: `appArmorProfile.localhostProfile`: the name of a loaded profile.
    """

    seccomp: str
    app_armor: str


class ProviderError(ValueError):
    """Provider and names do not fit together; the message says what to set."""


def profile_names(provider: str, seccomp_path: str = "", app_armor: str = "") -> ProfileNames:
    """Return the names that Pods use.

    Args:
        provider: One of Provider.
        seccomp_path: Only with PREINSTALLED: the file, relative to the kubelet's seccomp directory.
        app_armor: Only with PREINSTALLED: the profile.

    Raises:
        ProviderError: The provider is unknown, or a name is missing, superfluous or malformed.
    """
    match _known(provider):
        case Provider.PREINSTALLED:
            return ProfileNames(_file(seccomp_path), _name(app_armor))
        case _ if seccomp_path or app_armor:
            message = f"profiles can be named only where they are {Provider.PREINSTALLED}"
            raise ProviderError(message)
        case Provider.SECURITY_PROFILES_OPERATOR:
            return ProfileNames(spo.localhost_profile(), spo.app_armor_name())
        case Provider.BUILTIN:
            return ProfileNames(seccomp.localhost_profile(), apparmor.profile_name())


def node_agent_installs(provider: str) -> bool:
    """Say whether the node agent writes and loads the profiles; if not, it only verifies them.

    Raises:
        ProviderError: The provider is unknown.
    """
    return _known(provider) is Provider.BUILTIN


def seccomp_fault(content: bytes) -> str | None:
    """Return why a seccomp file that somebody else installed must not be used, None if it may.

    Its rules are its author's business. Refused is what the runtime would load as something else
    than it reads: Docker's format, whose conditions the runtime skips and so allows everything.
    """
    try:
        document: Any = json.loads(content)
    except ValueError as error:
        return f"not JSON: {error}"
    if not isinstance(document, dict) or "defaultAction" not in document:
        return "not a seccomp profile: no defaultAction"
    if document["defaultAction"] in {"SCMP_ACT_ALLOW", "SCMP_ACT_LOG"}:
        return "defaultAction allows every call that no rule names"
    if found := docker_keys(document):
        return f"Docker's format, which runtimes read as a laxer profile: {', '.join(found)}"
    return None


def _known(provider: str) -> Provider:
    try:
        return Provider(provider)
    except ValueError:
        message = f"unknown provider {provider!r}, use one of {', '.join(Provider)}"
        raise ProviderError(message) from None


def _file(path: str) -> str:
    """The path, if it stays below the directory and its file's name fits a node label."""
    directory, slash, file = path.rpartition("/")
    stem = file.removesuffix(".json")
    if _DIRECTORIES.fullmatch(directory + slash) and re.fullmatch(apparmor.NAME_PATTERN, stem):
        return path
    message = (
        f"seccomp profile {path!r}: name a file below the kubelet's seccomp directory, such as "
        "'agents/strict.json', with at most 63 characters before '.json'"
    )
    raise ProviderError(message)


def _name(app_armor: str) -> str:
    if re.fullmatch(apparmor.NAME_PATTERN, app_armor):
        return app_armor
    message = f"AppArmor profile {app_armor!r}: name a loaded profile, at most 63 characters"
    raise ProviderError(message)
