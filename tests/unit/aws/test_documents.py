"""The documents of manifests/aws say what docs/identity.md promises."""

import json
from typing import Any

import pytest
from helm import render

from aws import policies
from ringfence import bedrock
from ringfence.api_identity import SEED_MODEL_ARNS

Json = dict[str, Any]
SUBJECT = "system:serviceaccount:agents:reporter"
MODEL = "arn:aws:bedrock:eu-central-1::foundation-model/anthropic.claude-x"
INVOKE = "bedrock:InvokeModel"


def _document(name: str) -> Json:
    found: Json = json.loads((render.ROOT / "manifests" / "aws" / f"{name}.json").read_text())
    return found


def test_permission_policy_is_what_the_default_class_permits() -> None:
    assert _document("permission-policy") == bedrock.permission_policy(SEED_MODEL_ARNS)


def test_role_trusts_one_subject_with_one_audience() -> None:
    assert policies.trusts(_document("trust-policy"), {"sub": SUBJECT, "aud": "sts.amazonaws.com"})


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": f"{SUBJECT}2", "aud": "sts.amazonaws.com"},
        {"sub": "system:serviceaccount:other:reporter", "aud": "sts.amazonaws.com"},
        {"sub": SUBJECT, "aud": "kubernetes"},
        {"sub": SUBJECT},
        {"aud": "sts.amazonaws.com"},
    ],
)
def test_role_trusts_nobody_else(claims: dict[str, str]) -> None:
    assert not policies.trusts(_document("trust-policy"), claims)


def test_trust_policy_compares_without_wildcards() -> None:
    (statement,) = _document("trust-policy")["Statement"]
    assert set(statement["Condition"]) == {"StringEquals"}
    assert {key.rpartition(":")[2] for key in statement["Condition"]["StringEquals"]} == {
        "sub",
        "aud",
    }


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        (INVOKE, MODEL, True),
        ("bedrock:InvokeModelWithResponseStream", MODEL, True),
        ("bedrock:CreateModelCustomizationJob", MODEL, False),
        (INVOKE, MODEL.replace("anthropic", "meta"), False),
        ("s3:GetObject", "arn:aws:s3:::bucket/key", False),
        ("iam:CreateUser", "*", False),
    ],
)
def test_role_may_invoke_the_models_and_nothing_else(
    action: str,
    resource: str,
    allowed: bool,  # noqa: FBT001 - a column of the table
) -> None:
    documents = [_document(name) for name in ("permission-policy", "permissions-boundary")]
    assert policies.allows(documents, action, resource) is allowed


@pytest.mark.parametrize(
    "action", ["s3:GetObject", "sts:AssumeRole", "bedrock:ListFoundationModels"]
)
def test_boundary_holds_whatever_is_attached_to_the_role(action: str) -> None:
    everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    boundary = _document("permissions-boundary")
    assert policies.allows([everything], action, "x")
    assert not policies.allows([everything, boundary], action, "x")


def test_statement_that_the_evaluator_does_not_know_is_an_error_and_no_permission() -> None:
    unknown = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}
    with pytest.raises(ValueError, match="NotAction"):
        policies.allows([{"Statement": [unknown]}], INVOKE, MODEL)
