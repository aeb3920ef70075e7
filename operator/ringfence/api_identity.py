"""The API of cloud identity: the part of Sandbox and SandboxClass that is about AWS. Pure.

What may be asked for at all stands here, what a class permits in policy.py.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from ringfence.model import Model
from ringfence.scalars import ModelArnPattern, RoleArn, RoleArnPattern

IdentityMode = Literal["Proxy", "TemporaryCredentials"]


class SandboxIdentity(Model):
    """AWS identity of the Sandbox."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.mode == 'None' || has(self.roleArn)",
                    "message": "roleArn is required, unless mode is None",
                    "fieldPath": ".roleArn",
                },
                {
                    "rule": "self.mode != 'None' || !has(self.roleArn)",
                    "message": "roleArn has no effect with mode None; leave it out",
                    "fieldPath": ".roleArn",
                },
            ]
        }
    )

    mode: Literal["Proxy", "TemporaryCredentials", "None"] = Field(
        default="Proxy",
        description="Proxy: the agent calls Bedrock on loopback without a credential, and the "
        "egress proxy signs. TemporaryCredentials: the agent gets credentials of 15 minutes as a "
        "file; the class must permit it. None: no cloud identity.",
    )
    role_arn: RoleArn | None = Field(
        default=None,
        description="IAM role of the Sandbox, assumed with the token of its own ServiceAccount. "
        "The class must permit it. Required, unless mode is None.",
    )

    @model_validator(mode="after")
    def _role_fits_mode(self) -> Self:
        if (self.mode == "None") == (self.role_arn is None):
            return self
        message = "is required, unless mode is None" if self.role_arn is None else "has no effect"
        raise ValueError(f"roleArn {message}; mode is {self.mode}")  # noqa: EM102, TRY003


SEED_MODEL_ARNS: Final = ("arn:aws:bedrock:*::foundation-model/anthropic.*",)
"""The models of the product's security design."""


class ClassIdentity(Model):
    """Identity ceiling of the class."""

    role_arns: tuple[RoleArnPattern, ...] = Field(
        default=(),
        max_length=64,
        description="IAM roles that a Sandbox may name, exact or with one `*` at the end.",
    )
    modes: tuple[IdentityMode, ...] = Field(
        default=("Proxy",),
        max_length=2,
        description="Modes that a Sandbox may choose, beside None. With TemporaryCredentials the "
        "agent holds credentials, so it is not permitted by default.",
    )
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")] = Field(
        default="us-east-1",
        description="AWS region of Bedrock and STS, and value of AWS_REGION inside the Sandbox.",
    )
    model_arns: tuple[ModelArnPattern, ...] = Field(
        default=SEED_MODEL_ARNS,
        min_length=1,
        max_length=8,
        description="Bedrock models that may be invoked. `*` may stand for the region, the "
        "account, or the end of the name.",
    )
