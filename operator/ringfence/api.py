"""The API: pydantic models of Sandbox and SandboxClass, the only source of the CRDs and the docs.

Parsing here and validation by the API server must give the same verdict. No I/O, no defaults that
depend on a cluster; what a class adds to a Sandbox is decided in policy.py.
"""

from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from ringfence import names
from ringfence.scalars import (
    Argument,
    ByteRate,
    HostPattern,
    Image,
    ObjectName,
    Pids,
    Port,
    Quantity,
    Rate,
    RoleArn,
    RoleArnPattern,
)

Json = dict[str, Any]
_Parsed = TypeVar("_Parsed", bound=BaseModel)


class Invalid(Exception):  # noqa: N818 - the name is read as a verdict
    """The spec is wrong: say so in a condition; retrying cannot help until it changes.

    Attributes:
        message: Names the field and what it may hold.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Model(BaseModel):
    """Base of every API type: camelCase in YAML, unknown fields refused, never changed."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class EgressRule(Model):
    """One destination that the egress proxy lets through."""

    host: HostPattern = Field(
        description="Exact DNS name, or `*.` and a suffix of at least two labels for every name "
        "below it. IP addresses are refused."
    )
    ports: tuple[Port, ...] = Field(
        default=(443,),
        min_length=1,
        max_length=8,
        description="TCP ports. The connection must be TLS with an SNI equal to the host.",
    )


class SandboxEgress(Model):
    """What the Sandbox may reach, always through the egress proxy."""

    allow: tuple[EgressRule, ...] = Field(
        max_length=64,
        description="Destinations allowed instead of the class's own list. Each must be permitted "
        "by the class. An empty list closes the network.",
    )


class SandboxIdentity(Model):
    """AWS identity of the Sandbox."""

    role_arn: RoleArn = Field(
        description="IAM role for the Sandbox's own ServiceAccount (IRSA annotation). The class "
        "must permit it."
    )


class Resources(Model):
    """Resource limits; a missing one is taken from the class."""

    cpu: Quantity | None = Field(default=None, description="CPU limit in cores, such as `500m`.")
    memory: Quantity | None = Field(default=None, description="Memory limit, such as `2Gi`.")
    pids: Pids | None = Field(
        default=None, description="Greatest number of processes and threads of the agent container."
    )
    disk: Quantity | None = Field(
        default=None, description="Greatest size of /work and /tmp together, such as `5Gi`."
    )


class SandboxSpec(Model):
    """What the author asks for. Nothing here can loosen what the class fixes."""

    class_name: ObjectName | None = Field(
        default=None,
        description="SandboxClass that sets the ceiling. Empty: the class annotated "
        '`ringfence.dev/is-default-class: "true"`. Cannot be changed.',
    )
    image: Image | None = Field(
        default=None,
        description="Container image of the agent. Empty: the class's default. Must match one of "
        "the class's allowed images.",
    )
    command: tuple[Argument, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Entry point instead of the image's own.",
    )
    args: tuple[Argument, ...] | None = Field(
        default=None, max_length=256, description="Arguments instead of the image's own."
    )
    restart_policy: Literal["Always", "OnFailure", "Never"] = Field(
        default="Always",
        description="What happens when the agent's main process ends. With `Never` or `OnFailure` "
        "the Sandbox can reach the phase Succeeded or Failed.",
    )
    resources: Resources = Field(
        default_factory=Resources, description="Limits below the class's ceiling."
    )
    egress: SandboxEgress | None = Field(
        default=None, description="Network allowlist. Empty: the class's own list."
    )
    identity: SandboxIdentity | None = Field(
        default=None, description="AWS role. Empty: no cloud identity at all."
    )


class ClassImages(Model):
    """Images that Sandboxes of this class may run."""

    default: Image = Field(description="Image of a Sandbox that names none.")
    allowed: tuple[Annotated[str, StringConstraints(min_length=1, max_length=512)], ...] = Field(
        default=(),
        max_length=64,
        description="Further images, exact or with one `*` at the end.",
    )


class ClassLimits(Model):
    """A complete set of limits."""

    cpu: Quantity = Field(description="CPU in cores.")
    memory: Quantity = Field(description="Memory in bytes.")
    pids: Pids = Field(description="Processes and threads of the agent container.")
    disk: Quantity = Field(description="Bytes of /work and /tmp together.")


SEED_LIMITS: Final = ClassLimits(cpu="1", memory="2Gi", pids=256, disk="5Gi")
"""Default limits of the product's security design."""


class ClassIo(Model):
    """Greatest rates at which the agent container reads and writes each disk of its node."""

    read_bytes_per_second: ByteRate | None = Field(
        default=None, description="Bytes read per second, such as `50Mi`. Empty: no limit."
    )
    write_bytes_per_second: ByteRate | None = Field(
        default=None, description="Bytes written per second, such as `50Mi`. Empty: no limit."
    )
    read_operations_per_second: Rate | None = Field(
        default=None, description="Read operations per second. Empty: no limit."
    )
    write_operations_per_second: Rate | None = Field(
        default=None, description="Write operations per second. Empty: no limit."
    )


class ClassRequests(Model):
    """What the scheduler reserves for the agent container; the limits stay the hard border."""

    cpu: Quantity = Field(default="50m", description="CPU reserved, in cores.")
    memory: Quantity = Field(default="128Mi", description="Memory reserved, in bytes.")


class ClassEgress(Model):
    """Network ceiling of the class."""

    allow: tuple[EgressRule, ...] | None = Field(
        default=None,
        max_length=64,
        description="Destinations of a Sandbox that names none. Empty: the Python package index.",
    )
    permitted: tuple[EgressRule, ...] = Field(
        default=(),
        max_length=256,
        description="Destinations that a Sandbox may ask for beyond `allow`.",
    )


class ClassIdentity(Model):
    """Identity ceiling of the class."""

    role_arns: tuple[RoleArnPattern, ...] = Field(
        default=(),
        max_length=64,
        description="IAM roles that a Sandbox may name, exact or with one `*` at the end.",
    )
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")] = Field(
        default="us-east-1", description="Value of AWS_REGION inside the Sandbox."
    )


class ClassAppArmor(Model):
    """How AppArmor is used."""

    mode: Literal["Required", "Auto", "Disabled"] = Field(
        default="Auto",
        description="Required: the Pod asks for the profile and does not run on a node without it. "
        "Auto: asked for if every node that takes Sandboxes has it when the Pod is made. "
        "Disabled: never.",
    )
    profile: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=128)]
        | None
    ) = Field(
        default=None,
        description="Name of the profile loaded on the nodes. Empty: the installation's own.",
    )


class ClassStorage(Model):
    """Where /work and /tmp lie, and what happens when they are full."""

    mode: Literal["Hard", "Soft"] = Field(
        default="Hard",
        description="Hard: a volume of its own for each Sandbox (a generic ephemeral volume); a "
        "write beyond its size fails with ENOSPC. Needs a StorageClass that enforces sizes. "
        "Soft: emptyDir; the kubelet evicts a Pod that it finds above its limit, and the layer "
        "`resources` is Degraded.",
    )
    storage_class_name: ObjectName | None = Field(
        default=None,
        description="StorageClass of the volumes. Empty: the cluster's default. Unused with Soft.",
    )


class Toleration(Model):
    """A taint that Sandboxes of this class tolerate."""

    key: Annotated[str, StringConstraints(min_length=1, max_length=316)] = Field(
        description="Taint key."
    )
    operator: Literal["Exists", "Equal"] = Field(
        default="Equal", description="Exists ignores the value."
    )
    value: Annotated[str, StringConstraints(max_length=63)] | None = Field(
        default=None, description="Taint value."
    )
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Taint effect. Empty: all effects."
    )


LAYERS: Final = names.LAYERS
Layer = Literal["process", "namespaces", "seccomp", "appArmor", "resources", "network", "audit"]
MinimumState = Literal["Enforced", "Degraded"]


class SandboxClassSpec(Model):
    """The administrator's ceiling for all Sandboxes of the class."""

    images: ClassImages = Field(description="Images that may run.")
    limits: ClassLimits = Field(
        default=SEED_LIMITS, description="Greatest limits that a Sandbox may ask for."
    )
    default_limits: ClassLimits = Field(
        default=SEED_LIMITS, description="Limits of a Sandbox that names none."
    )
    io: ClassIo = Field(
        default_factory=ClassIo, description="Disk rates of every Sandbox of the class."
    )
    requests: ClassRequests = Field(
        default_factory=ClassRequests, description="What the scheduler reserves."
    )
    egress: ClassEgress = Field(default_factory=ClassEgress, description="Network ceiling.")
    identity: ClassIdentity = Field(
        default_factory=ClassIdentity, description="Cloud identity ceiling."
    )
    app_armor: ClassAppArmor = Field(default_factory=ClassAppArmor, description="AppArmor mode.")
    storage: ClassStorage = Field(
        default_factory=ClassStorage, description="Volume of /work and /tmp."
    )
    user_namespaces: Literal["Enabled", "Disabled"] = Field(
        default="Enabled",
        description="Enabled: the Pod gets its own user namespace (hostUsers: false), so that "
        "root inside is nobody on the node. Disable only where nodes do not support it.",
    )
    runtime_class_name: ObjectName | None = Field(
        default=None, description="RuntimeClass of the Pods, such as gVisor or Kata."
    )
    minimum_isolation: dict[Layer, MinimumState] = Field(
        default_factory=dict,
        description="Least state of each layer; a Sandbox that cannot reach it does not start.",
    )
    node_selector: dict[str, str] = Field(
        default_factory=dict, description="Labels of the nodes that Sandboxes may run on."
    )
    tolerations: tuple[Toleration, ...] = Field(
        default=(), max_length=32, description="Taints that the Pods tolerate."
    )


class ObjectMeta(BaseModel):
    """The part of an object's metadata that decisions read."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None
    creation_timestamp: str | None = None


class Sandbox(BaseModel):
    """A parsed Sandbox: metadata, spec, and the status as it was read."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    metadata: ObjectMeta
    spec: SandboxSpec
    status: Json = Field(default_factory=dict)

    @classmethod
    def parse(cls, body: Json) -> Self:
        """The Sandbox in `body`.

        Raises:
            Invalid: Names every field that is wrong.
        """
        return _parse(cls, body)


class SandboxClass(BaseModel):
    """A parsed SandboxClass."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    metadata: ObjectMeta
    spec: SandboxClassSpec

    @classmethod
    def parse(cls, body: Json) -> Self:
        """The SandboxClass in `body`.

        Raises:
            Invalid: Names every field that is wrong.
        """
        return _parse(cls, body)


def _parse(model: type[_Parsed], body: Json) -> _Parsed:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise Invalid("; ".join(_describe(e) for e in error.errors())) from error


def _describe(error: Any) -> str:
    path = ".".join(str(part) for part in error["loc"])
    return f"{path}: {error['msg']}"
