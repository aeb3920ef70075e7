"""The API: the model of SandboxNode, in which the node agent of each node says what that node has.

The node agent writes it, the operator reads it. Parsing must not fail on what another version
wrote, so the operator reads the plain object (nodes.py) and this model makes the CRD.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from ringfence.model import Model
from ringfence.status import Condition

ProfileName = Annotated[str, StringConstraints(min_length=1, max_length=253)]


class NodeAppArmor(Model):
    """AppArmor on the node."""

    enabled: bool = Field(description="True if the kernel has AppArmor switched on.")
    profiles: tuple[ProfileName, ...] = Field(
        default=(),
        max_length=64,
        description="Profiles that are loaded in enforce mode.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class SandboxNodeStatus(Model):
    """What the node agent found on its node, seen from the node itself."""

    renew_time: str = Field(
        description="When the node agent last looked, RFC 3339. The heartbeat: a value that stays "
        "the same for 40 s means that nobody verifies the Sandboxes on this node.",
        json_schema_extra={"format": "date-time"},
    )
    agent_version: Annotated[str, StringConstraints(max_length=64)] = Field(
        description="Version of the node agent."
    )
    cgroup_version: Literal[1, 2] = Field(
        description="Version of the control groups that limits are written to."
    )
    seccomp_profiles: tuple[ProfileName, ...] = Field(
        default=(),
        max_length=64,
        description="Profiles that are in place and verified, each as a Pod names it in "
        "`localhostProfile`.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    app_armor: NodeAppArmor = Field(description="AppArmor on the node.")
    conditions: tuple[Condition, ...] = Field(
        default=(),
        description="ProfilesInstalled.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )
