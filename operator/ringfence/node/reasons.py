"""The reasons in what the node agent reports. Pure.

Each is part of the API: never renamed, only added. They are not in status.py, as that one needs
pydantic.
"""

from enum import StrEnum


class NodeReason(StrEnum):
    """Why a condition has its status."""

    VERIFIED = "Verified"
    """Read from the kernel as it must be."""
    PRIVILEGED = "Privileged"
    """A process has an id, a capability or a write access that it must not have."""
    HOST_NAMESPACE = "HostNamespace"
    """A namespace of the node is shared."""
    NO_USER_NAMESPACE = "NoUserNamespace"
    """The Pod asks for no user namespace; all others are its own."""
    UNFILTERED = "Unfiltered"
    """A process runs without a seccomp filter."""
    PROFILE_MISSING = "ProfileMissing"
    """The profile that the Pod names is not in place on the node."""
    UNCONFINED = "Unconfined"
    """The AppArmor profile that the Pod names is not in force."""
    NOT_ASKED_FOR = "NotAskedFor"
    """The Pod names no AppArmor profile, or asks for no packet filter."""
    NOT_FENCED = "NotFenced"
    """The packet filter is not in force in the network namespace of the agent."""
    LIMITS_UNKNOWN = "LimitsUnknown"
    """The Pod does not say its limits in a form that can be read."""
    LIMIT_NOT_IN_FORCE = "LimitNotInForce"
    """A limit is higher than it should be."""
    SOFT_LIMITS = "SoftLimits"
    """The disk has no limit that gives ENOSPC; the rest is in force."""
    UNREADABLE = "Unreadable"
    """The node agent failed to read what it needs."""
    INSTALLED = "Installed"
    """Every profile is in place and was verified."""
    NOT_INSTALLED = "NotInstalled"
    """A profile is missing or wrong and could not be put in place."""
