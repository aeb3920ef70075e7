"""What of AWS a Sandbox may use: the two hosts, the paths of permitted models, the policy. Pure.

The same ARN patterns become a regular expression for the proxy and an IAM policy for AWS, so that
neither permits what the other does not. Nothing here knows about Pods or Envoy.
"""

import json
import re
from collections.abc import Iterable
from typing import Final

AUDIENCE: Final = "sts.amazonaws.com"
"""The only audience of the token that STS is shown."""

ACTIONS: Final = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
OPERATIONS: Final = ("invoke", "invoke-with-response-stream")

_BARE: Final = frozenset({"foundation-model", "inference-profile"})
"""Kinds of models that Bedrock also knows by their name alone."""
_COLON: Final = "(:|%3[Aa])"
_SLASH: Final = "%2[Ff]"
_ANY_NAME: Final = f"([A-Za-z0-9._-]|{_COLON})*"
_ANY_FIELD: Final = "[A-Za-z0-9-]*"


def sts_host(region: str) -> str:
    """The regional endpoint of STS."""
    return f"sts.{region}.{_domain(region)}"


def runtime_host(region: str) -> str:
    """The endpoint that models are invoked at."""
    return f"bedrock-runtime.{region}.{_domain(region)}"


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def model_paths(arns: Iterable[str], region: str) -> str:
    """Regular expression of the whole request target of a permitted call, without any query.

    It speaks about the text as it was sent, and that text is what goes on: nothing is decoded or
    normalised on the way, so there is no second reading of it. Inside a name only `:` and `/` occur
    escaped, each once; `%25`, `..` between slashes and everything else is no match.
    """
    models = sorted({form for arn in arns for form in _forms(arn, region)})
    return f"/model/({'|'.join(models)})/({'|'.join(OPERATIONS)})"


def _forms(arn: str, region: str) -> Iterable[str]:
    """The ARN itself, and the name alone where it means the same model."""
    *fields, resource = arn.split(":", 5)
    kind, _, name = resource.partition("/")
    head = _COLON.join(_ANY_FIELD if field == "*" else re.escape(field) for field in fields)
    yield f"{head}{_COLON}{re.escape(kind)}{_SLASH}{_name(name)}"
    if kind in _BARE and fields[3] in {"*", region}:
        yield _name(name)


def _name(pattern: str) -> str:
    exact = _COLON.join(re.escape(part) for part in pattern.removesuffix("*").split(":"))
    if not pattern.endswith("*"):
        return exact
    return f"{exact}{_ANY_NAME}" if exact else f"[A-Za-z0-9]{_ANY_NAME}"


def permission_policy(arns: Iterable[str]) -> dict[str, object]:
    """The IAM policy of the product's security design, for these models."""
    models = list(arns)
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": list(ACTIONS), "Resource": models},
            {"Effect": "Deny", "Action": "*", "NotResource": models},
        ],
    }


def session_policy(arns: Iterable[str]) -> str:
    """The same as STS takes it: whatever the role may do, the session may do no more than this."""
    return json.dumps(permission_policy(arns), separators=(",", ":"))
