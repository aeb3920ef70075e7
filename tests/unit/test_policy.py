"""The class is the ceiling: what it does not permit, no Sandbox gets."""

import pytest

from ringfence.api import Invalid, Json
from ringfence.policy import CeilingExceeded
from samples import ROLE, accepted, sandbox, sandbox_class

EXCEEDED: dict[str, tuple[Json, Json, str]] = {
    "image": ({"image": "evil:1"}, {}, "spec.image 'evil:1' is none of"),
    "cpu": ({"resources": {"cpu": "1001m"}}, {}, "spec.resources.cpu 1001m is more than 1"),
    "memory": ({"resources": {"memory": "3Gi"}}, {}, "spec.resources.memory 3Gi"),
    "disk": ({"resources": {"disk": "1Ti"}}, {}, "spec.resources.disk 1Ti"),
    "pids": ({"resources": {"pids": 257}}, {}, "spec.resources.pids 257 is more than 256"),
    "zero": ({"resources": {"memory": "0"}}, {}, "spec.resources.memory must be more than 0"),
    "host": ({"egress": {"allow": [{"host": "evil.example"}]}}, {}, "host 'evil.example'"),
    "port": (
        {"egress": {"allow": [{"host": "a.example.org", "ports": [22]}]}},
        {"egress": {"permitted": [{"host": "*.example.org"}]}},
        "port 22",
    ),
    "suffix": (
        {"egress": {"allow": [{"host": "*.example.org"}]}},
        {"egress": {"permitted": [{"host": "a.example.org"}]}},
        "host '*.example.org'",
    ),
    "sibling": (
        {"egress": {"allow": [{"host": "notexample.org"}]}},
        {"egress": {"permitted": [{"host": "*.example.org"}]}},
        "host 'notexample.org'",
    ),
    "role": ({"identity": {"roleArn": ROLE}}, {}, "spec.identity.roleArn"),
    "mode": (
        {"identity": {"roleArn": ROLE, "mode": "TemporaryCredentials"}},
        {"identity": {"roleArns": [ROLE]}},
        "spec.identity.mode 'TemporaryCredentials' is none of 'Proxy', 'None'",
    ),
    "proxy-mode": (
        {"identity": {"roleArn": ROLE}},
        {"identity": {"roleArns": [ROLE], "modes": ["TemporaryCredentials"]}},
        "spec.identity.mode 'Proxy' is none of",
    ),
}


@pytest.mark.parametrize("case", EXCEEDED)
def test_class_refuses_and_names_the_field(case: str) -> None:
    spec, rules, text = EXCEEDED[case]
    with pytest.raises(CeilingExceeded) as refusal:
        accepted(sandbox(**spec), sandbox_class(**rules))
    assert text in refusal.value.message


PERMITTED: dict[str, tuple[Json, Json]] = {
    "image-prefix": (
        {"image": "registry.example/a:1"},
        {"images": {"default": "x", "allowed": ["registry.example/*"]}},
    ),
    "limits-equal": ({"resources": {"cpu": "1000m", "memory": "2048Mi"}}, {}),
    "below-suffix": (
        {"egress": {"allow": [{"host": "*.a.example.org"}]}},
        {"egress": {"permitted": [{"host": "*.example.org"}]}},
    ),
    "no-identity": ({"identity": {"mode": "None"}}, {"identity": {"modes": []}}),
    "temporary": (
        {"identity": {"roleArn": ROLE, "mode": "TemporaryCredentials"}},
        {"identity": {"roleArns": [ROLE], "modes": ["TemporaryCredentials"]}},
    ),
    "role-prefix": (
        {"identity": {"roleArn": ROLE}},
        {"identity": {"roleArns": ["arn:aws:iam::123456789012:role/agents/*"]}},
    ),
}


@pytest.mark.parametrize("case", PERMITTED)
def test_class_accepts(case: str) -> None:
    spec, rules = PERMITTED[case]
    accepted(sandbox(**spec), sandbox_class(**rules))


def test_every_excess_is_named_at_once() -> None:
    with pytest.raises(CeilingExceeded) as refusal:
        accepted(sandbox(image="evil:1", resources={"cpu": "9"}))
    assert "spec.image" in refusal.value.message
    assert "spec.resources.cpu" in refusal.value.message


def test_defaults_are_the_designs_limits_and_the_package_index() -> None:
    wanted = accepted()
    limits = wanted.limits
    assert (limits.cpu, limits.memory, limits.pids, limits.disk) == ("1", "2Gi", 256, "5Gi")
    assert len(wanted.egress) == 2
    assert all(rule.ports == (443,) for rule in wanted.egress)


@pytest.mark.parametrize(
    "host",
    [
        "1.2.3.4", "0x7f.1", "127.1", "*.com", "localhost", "a..b", "a.b.", "*", "a.*.b",
        "user@a.example", "a.example:443", "[::1]", "A.example", "a_b.example", "a.example/x",
        "a.example\x00.b.example",
    ],
)  # fmt: skip
def test_host_that_is_no_plain_name_is_invalid(host: str) -> None:
    with pytest.raises(Invalid):
        accepted(sandbox(egress={"allow": [{"host": host}]}))


@pytest.mark.parametrize("identity", [{}, {"mode": "Proxy"}, {"mode": "None", "roleArn": ROLE}])
def test_role_and_mode_that_contradict_each_other_are_invalid_and_named(identity: Json) -> None:
    with pytest.raises(Invalid, match=r"spec\.identity.*roleArn"):
        accepted(sandbox(identity=identity))


@pytest.mark.parametrize(
    "arn",
    [
        "*", "arn:aws:bedrock:*::*", "arn:aws:s3:::bucket/x", "anthropic.claude",
        "arn:aws:bedrock:*::foundation-model/", "arn:aws:bedrock:*::foundation-model/../x",
        "arn:aws:bedrock:*::foundation-model/a*b", "arn:aws:bedrock:*::foundation-model/-x",
        "arn:aws:bedrock:*::foundation-model/a\n", "arn:aws:bedrock:*::foundation-model/a|b",
        "arn:aws:bedrock:*::foundation-model/" + "a" * 80,
    ],
)  # fmt: skip
def test_model_that_is_no_bounded_arn_is_invalid(arn: str) -> None:
    with pytest.raises(Invalid, match="modelArns"):
        accepted(rules=sandbox_class(identity={"modelArns": [arn]}))


def test_agent_with_credentials_may_reach_bedrock_beside_its_list() -> None:
    identity = {"roleArn": ROLE, "mode": "TemporaryCredentials"}
    rules = sandbox_class(identity={"roleArns": [ROLE], "modes": ["TemporaryCredentials"]})
    wanted = accepted(sandbox(identity=identity, egress={"allow": []}), rules)
    assert [rule.host for rule in wanted.egress] == ["bedrock-runtime.us-east-1.amazonaws.com"]


def test_unknown_field_is_invalid_and_named() -> None:
    body: Json = sandbox(hostNetwork=True)
    with pytest.raises(Invalid) as refusal:
        accepted(body)
    assert "spec.hostNetwork" in refusal.value.message
