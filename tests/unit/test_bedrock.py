"""Which request targets are calls of permitted models, and which policy says the same to AWS."""

import json
import re

import pytest

from ringfence import bedrock
from ringfence.api_identity import SEED_MODEL_ARNS

MODEL = "anthropic.claude-3-haiku-20240307-v1:0"
ESCAPED = MODEL.replace(":", "%3A")
ARN = f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL}"
ESCAPED_ARN = ARN.replace(":", "%3A").replace("/", "%2F")


def _passes(target: str, *arns: str, region: str = "us-east-1") -> bool:
    return bool(re.fullmatch(bedrock.model_paths(arns or SEED_MODEL_ARNS, region), target))


@pytest.mark.parametrize("name", [MODEL, ESCAPED, MODEL.replace(":", "%3a"), ESCAPED_ARN])
@pytest.mark.parametrize("operation", ["invoke", "invoke-with-response-stream"])
def test_permitted_model_passes_in_every_spelling_of_sdks(name: str, operation: str) -> None:
    assert _passes(f"/model/{name}/{operation}")


REFUSED = {
    "other vendor": "/model/meta.llama3-8b-instruct-v1%3A0/invoke",
    "other operation": f"/model/{ESCAPED}/converse",
    "count of tokens": f"/model/{ESCAPED}/count-tokens",
    "asynchronous": "/async-invoke",
    "guardrail": "/guardrail/g/version/1/apply",
    "query": f"/model/{ESCAPED}/invoke?x=1",
    "empty query": f"/model/{ESCAPED}/invoke?",
    "signature in the query": f"/model/{ESCAPED}/invoke?X-Amz-Signature=00",
    "fragment": f"/model/{ESCAPED}/invoke#x",
    "parameter": f"/model/{ESCAPED}/invoke;x=1",
    "trailing slash": f"/model/{ESCAPED}/invoke/",
    "double slash": f"/model//{ESCAPED}/invoke",
    "leading double slash": f"//model/{ESCAPED}/invoke",
    "absolute form": f"http://bedrock-runtime.us-east-1.amazonaws.com/model/{ESCAPED}/invoke",
    "climbing": f"/model/{ESCAPED}/../../agents/invoke",
    "climbing to another model": f"/model/{ESCAPED}/../meta.llama3/invoke",
    "escaped climbing": "/model/anthropic.x%2F..%2Fmeta.llama3/invoke",
    "escaped dots": "/model/anthropic.x/%2E%2E/meta.llama3/invoke",
    "escaped letter": "/model/%61nthropic.claude/invoke",
    "escaped twice": f"/model/{ESCAPED.replace('%', '%25')}/invoke",
    "slash escaped twice": "/model/anthropic.x%252F..%252Fmeta.llama3/invoke",
    "slash in the name": "/model/anthropic.x/y/invoke",
    "escaped slash in the name": "/model/anthropic.x%2Fy/invoke",
    "backslash": "/model/anthropic.x%5C..%5Cmeta/invoke",
    "NUL": "/model/anthropic.x%00/invoke",
    "line break": "/model/anthropic.x%0D%0AHost:evil/invoke",
    "space": "/model/anthropic.x y/invoke",
    "overlong UTF-8": "/model/anthropic.x%C0%AF/invoke",
    "capitals": f"/MODEL/{ESCAPED}/invoke",
    "capital vendor": "/model/Anthropic.claude/invoke",
    "capital operation": f"/model/{ESCAPED}/Invoke",
    "prefix alone": "/model/anthropicx.claude/invoke",
    "vendor in the middle": "/model/us.anthropic.claude/invoke",
    "other kind of ARN": ESCAPED_ARN.replace("foundation-model", "custom-model").join(
        ["/model/", "/invoke"]
    ),
    "other service": "/model/arn%3Aaws%3Asagemaker%3Aus-east-1%3A%3Aendpoint%2Fx/invoke",
    "ARN with an account": "/model/"
    + ESCAPED_ARN.replace("us-east-1%3A%3A", "us-east-1%3A999999999999%3A")
    + "/invoke",
    "ARN with plain slash": f"/model/{ARN}/invoke",
    "no model": "/model//invoke",
    "no path": "/",
    "asterisk": "*",
}


@pytest.mark.parametrize("case", REFUSED)
def test_everything_else_is_no_permitted_call(case: str) -> None:
    assert not _passes(REFUSED[case])


def test_wildcard_for_every_name_does_not_let_a_path_climb() -> None:
    anything = "arn:aws:bedrock:*::foundation-model/*"
    assert _passes("/model/meta.llama3/invoke", anything)
    assert not _passes("/model/../invoke", anything)
    assert not _passes("/model/%2e%2e/invoke", anything)


def test_exact_arn_permits_that_model_alone() -> None:
    assert _passes(f"/model/{ESCAPED}/invoke", ARN)
    assert not _passes(f"/model/{ESCAPED}x/invoke", ARN)
    assert not _passes("/model/anthropic.claude/invoke", ARN)
    assert not _passes("/model/anthropicXclaude-3-haiku-20240307-v1:0/invoke", ARN)


def test_name_alone_means_the_model_of_the_own_region() -> None:
    assert not _passes(f"/model/{ESCAPED}/invoke", ARN, region="eu-central-1")
    assert _passes(f"/model/{ESCAPED_ARN}/invoke", ARN, region="eu-central-1")


def test_inference_profile_is_permitted_by_its_arn_and_its_name() -> None:
    profile = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.*"
    region = "eu-central-1"
    assert _passes("/model/eu.anthropic.claude-x-v1%3A0/invoke", profile, region=region)
    escaped = profile.replace(":", "%3A").replace("/", "%2F").replace("*", "claude")
    assert _passes(f"/model/{escaped}/invoke", profile, region=region)
    assert not _passes("/model/us.anthropic.claude-x-v1%3A0/invoke", profile, region=region)


def test_model_that_is_known_by_its_arn_only_is_not_permitted_by_name() -> None:
    own = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/*"
    assert not _passes(f"/model/{ESCAPED}/invoke", own)


def test_policy_is_the_designs() -> None:
    policy = json.loads(bedrock.session_policy(SEED_MODEL_ARNS))
    models = ["arn:aws:bedrock:*::foundation-model/anthropic.*"]
    actions = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
    assert policy["Statement"] == [
        {"Effect": "Allow", "Action": actions, "Resource": models},
        {"Effect": "Deny", "Action": "*", "NotResource": models},
    ]


def test_longest_session_policy_fits_what_sts_takes() -> None:
    longest = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/".ljust(110, "x")
    assert len(bedrock.session_policy([longest] * 8)) <= 2048


def test_hosts_are_the_regional_ones() -> None:
    assert bedrock.sts_host("eu-central-1") == "sts.eu-central-1.amazonaws.com"
    assert bedrock.runtime_host("cn-north-1") == "bedrock-runtime.cn-north-1.amazonaws.com.cn"
