"""The API's scalar types: what a single field may hold, said once for parsing and for the schema.

A pattern here must give the same verdict in Python and in the API server. It must not know which
kinds there are; api.py does.
"""

from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from ringfence import hosts, quantity

_DNS_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_LABEL: Final = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST: Final = rf"^(\*\.)?({_LABEL}\.)+[a-z]([-a-z0-9]{{0,61}}[a-z0-9])?$"
"""The last label begins with a letter: that refuses IPv4 in every spelling."""
_ROLE_ARN: Final = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$"
_ROLE_ARN_PATTERN: Final = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]*\*?$"

_MODEL_ARN_PATTERN: Final = (
    r"^arn:aws[a-z-]*:bedrock:(\*|[a-z0-9-]+):(\*|[0-9]{12})?:[a-z-]+/"
    r"([A-Za-z0-9][A-Za-z0-9._:-]*\*?|\*)$"
)
_MODEL_ARN_LENGTH: Final = 110
"""Eight of them, each twice, fit the 2048 characters of a session policy."""


def _as_text(value: object) -> object:
    """YAML reads `cpu: 1` as a number; the API server keeps it so (int-or-string)."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _above_zero(value: str) -> str:
    if quantity.parse(value) <= 0:
        message = "must be more than 0"
        raise ValueError(message)
    return value


Quantity = Annotated[
    str,
    StringConstraints(pattern=quantity.PATTERN, max_length=32),
    BeforeValidator(_as_text),
    Field(json_schema_extra={"x-kubernetes-int-or-string": True}),
]
Argument = Annotated[str, StringConstraints(max_length=4096)]
Port = Annotated[int, Field(ge=1, le=65535)]
Pids = Annotated[int, Field(ge=16, le=32768)]
Rate = Annotated[int, Field(ge=1, le=2**53)]
ByteRate = Annotated[Quantity, AfterValidator(_above_zero)]
Image = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\s*]+$")]
ObjectName = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=_DNS_SUBDOMAIN)]
HostPattern = Annotated[
    str,
    StringConstraints(min_length=3, max_length=253, pattern=_HOST),
    AfterValidator(hosts.parse_host),
]
RoleArn = Annotated[str, StringConstraints(pattern=_ROLE_ARN, max_length=2048)]
RoleArnPattern = Annotated[str, StringConstraints(pattern=_ROLE_ARN_PATTERN, max_length=2048)]
ModelArnPattern = Annotated[
    str, StringConstraints(pattern=_MODEL_ARN_PATTERN, max_length=_MODEL_ARN_LENGTH)
]
