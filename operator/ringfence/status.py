"""The status of a Sandbox: its types, and the reasons a condition may carry.

The types follow metav1.Condition. Pure; conditions.py says when which reason applies.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from ringfence.api import LAYERS, Layer
from ringfence.model import Model


class Reason(StrEnum):
    """Why a condition has its status. Each is part of the API: never renamed, only added."""

    STARTING = "Starting"
    """Everything was accepted; the Pod is being created or its containers are starting."""
    POD_READY = "PodReady"
    """All containers of the Pod run, and the node agent read from the kernel that the agent is
    confined."""
    POSTURE_NOT_VERIFIED = "PostureNotVerified"
    """The Pod runs, but the node agent has found that something does not hold, or found nothing."""
    NODE_AGENT_NOT_READY = "NodeAgentNotReady"
    """The Pod waits for the node agent of its node."""
    PROFILES_NOT_INSTALLED = "ProfilesNotInstalled"
    """No node with a live node agent has the profiles that the Pod would name."""
    INVALID_SPEC = "InvalidSpec"
    """A field holds something it may not; nothing happens until it changes."""
    CLASS_NOT_FOUND = "ClassNotFound"
    """spec.className names no SandboxClass, or no class is the default."""
    CLASS_INVALID = "ClassInvalid"
    """The SandboxClass itself cannot be used."""
    CLASS_CEILING_EXCEEDED = "ClassCeilingExceeded"
    """The spec asks for more than its class permits."""
    ISOLATION_BELOW_MINIMUM = "IsolationBelowMinimum"
    """A layer cannot reach the state that the class demands."""
    NAME_CONFLICT = "NameConflict"
    """An object of the same name exists and belongs to somebody else."""
    UIDS_EXHAUSTED = "UidsExhausted"
    """Every uid of the range is in use."""
    NAMESPACE_TERMINATING = "NamespaceTerminating"
    """The namespace is being deleted."""
    REJECTED = "Rejected"
    """The API server refused a child (admission, quota, rights)."""
    UNSCHEDULABLE = "Unschedulable"
    """No node takes the Pod."""
    WORKSPACE_PENDING = "WorkspacePending"
    """The Pod waits for the volume of /work and /tmp longer than usual."""
    WORKSPACE_MOUNTED = "WorkspaceMounted"
    """/work and /tmp are there."""
    IDENTITY_NOT_READY = "IdentityNotReady"
    """AWS gives the Sandbox no credentials."""
    CREDENTIALS_ISSUED = "CredentialsIssued"
    """AWS gave credentials, and they are renewed."""
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """The node cannot get an image."""
    CONTAINER_CREATE_FAILED = "ContainerCreateFailed"
    """The runtime refuses a container, for instance as a profile is missing on the node."""
    CONTAINER_CRASHING = "ContainerCrashing"
    """A container ends again and again."""
    POD_ALTERED = "PodAltered"
    """The Pod differs from what was applied; it was removed."""
    POD_FAILED = "PodFailed"
    """The Pod ended with an error."""
    POD_SUCCEEDED = "PodSucceeded"
    """The Pod ended well."""
    SCHEDULED = "Scheduled"
    """The Pod has a node."""
    WAITING = "WaitingForScheduler"
    """The Pod has no node yet."""
    CURRENT = "Current"
    """The Pod was built from the present spec."""
    OUTDATED = "Outdated"
    """The spec changed after the Pod was built."""
    PROFILES_INSTALLED = "ProfilesInstalled"
    """The node, or a node that could take the Pod, has the profiles that it names."""
    PROFILES_LOST = "ProfilesLost"
    """The Pod's node does not have its profiles any more."""
    NODE_AGENT_LOST = "NodeAgentLost"
    """The heartbeat of the node agent stopped: nobody verifies this node."""
    VERIFIED = "Verified"
    """The node agent read it from the kernel."""
    LIMIT_NOT_IN_FORCE = "LimitNotInForce"
    """The node agent found a limit that is not in force, or not hard."""
    NOT_VERIFIED = "NotVerified"
    """The node agent has not read it yet."""
    NETWORK_NOT_FENCED = "NetworkNotFenced"
    """The guard could not prove that the agent has no way out but its proxy."""
    NETWORK_FENCED = "NetworkFenced"
    """The guard proved it before the agent started, and nothing speaks against it since."""
    POLICY_WIDENED = "PolicyWidened"
    """A foreign NetworkPolicy selects the Pod and opens what the Sandbox's own one closes."""
    GATEWAY_NOT_READY = "GatewayNotReady"
    """The Pod runs, but its egress gateway does not: its network is closed meanwhile."""


class IsolationReason(StrEnum):
    """Why a layer has its state."""

    POD_HARDENED = "PodHardened"
    """Every setting of the layer stands in the Pod."""
    READ_BACK = "ReadBack"
    """The node agent read it from the kernel, and gave no reason of its own."""
    NOT_VERIFIED = "NotVerified"
    """The node agent has not read it yet."""
    NODE_AGENT_LOST = "NodeAgentLost"
    """The heartbeat of the node agent stopped: nobody sees whether it still holds."""
    OTHER_RUNTIME = "OtherRuntime"
    """The class's runtime keeps the processes out of the node's sight."""
    EPHEMERAL_CONTAINER = "EphemeralContainer"
    """Somebody attached a debug container, which this layer does not cover."""
    NOT_RUNNING = "NotRunning"
    """There is no running Pod."""
    NO_USER_NAMESPACE = "NoUserNamespace"
    """The class disables user namespaces."""
    SOFT_LIMITS = "SoftLimits"
    """The disk is enforced by eviction, not ENOSPC."""
    PROXY_NOT_FENCED = "ProxyNotFenced"
    """NetworkPolicy and proxy are in place; no rule inside the Pod tells agent and proxy apart."""
    POLICY_WIDENED = "PolicyWidened"
    """A foreign NetworkPolicy opens what the Sandbox's own one closes."""
    GATEWAY_FENCED = "GatewayFenced"
    """The proxy has a Pod of its own, the only one within reach; the guard found it so."""
    DISABLED_BY_CLASS = "DisabledByClass"
    """The class turns it off."""
    NOT_DETECTED = "NotDetected"
    """No node is known to have it."""
    NOT_COLLECTED = "NotCollected"
    """Nothing collects this yet."""


ConditionStatus = Literal["True", "False", "Unknown"]
LayerState = Literal["Enforced", "Degraded", "NotAvailable"]
Phase = Literal["Pending", "Starting", "Running", "Succeeded", "Failed"]
Text = Annotated[str, StringConstraints(max_length=32768)]
ReasonText = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
    ),
]


class Condition(Model):
    """One observation; positive polarity."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=316)] = Field(
        description="Name of the condition, such as Ready."
    )
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: ReasonText = Field(description="CamelCase word for programs.")
    message: Text = Field(description="What is so, and what to do about it.")
    observed_generation: int = Field(
        default=0, description="metadata.generation that this was concluded from."
    )
    last_transition_time: str = Field(
        description="When the status last changed, RFC 3339.",
        json_schema_extra={"format": "date-time"},
    )


class LayerStatus(Model):
    """State of one layer of defence."""

    state: LayerState = Field(
        description="Enforced: in force and verified. Degraded: in part. NotAvailable: not at all."
    )
    reason: ReasonText = Field(description="CamelCase word for programs.")
    message: Text = Field(description="What is in force, and what is missing.")


class SandboxStatus(Model):
    """What the operator saw and did."""

    observed_generation: int = Field(
        default=-1, description="metadata.generation that this status was concluded from."
    )
    phase: Phase | None = Field(
        default=None, description="Summary for people; programs read conditions."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        description="Ready, PodScheduled, WorkspaceReady, ProfilesInstalled, LimitsEnforced, "
        "NetworkFenced, IdentityReady, UpToDate, Finished.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )
    class_name: str | None = Field(default=None, description="SandboxClass in force.")
    image: str | None = Field(default=None, description="Image of the agent container.")
    pod_name: str | None = Field(default=None, description="Pod of this Sandbox.")
    gateway_pod_name: str | None = Field(
        default=None, description="Pod of the egress gateway, if the class asks for one."
    )
    node_name: str | None = Field(default=None, description="Node that the Pod runs on.")
    uid: int | None = Field(
        default=None,
        description="User id of the agent inside its Pod, unique among the Sandboxes.",
        json_schema_extra={"format": "int64"},
    )
    isolation: dict[Layer, LayerStatus] | None = Field(
        default=None, description=f"State of each layer of defence: {', '.join(LAYERS)}."
    )
