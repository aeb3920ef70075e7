"""Where token, socket and credentials of a Sandbox with an identity are, and where not."""

import json
from collections.abc import Callable

import pytest

from ringfence.api import Json
from ringfence.drift import pod_alterations
from ringfence.policy import way_out
from ringfence.resources.config_map import config_map
from ringfence.resources.network_policy import network_policy
from ringfence.resources.pod import pod
from ringfence.resources.service_account import service_account
from samples import ROLE, SETTINGS, accepted, sandbox, sandbox_class

Golden = Callable[[Json, str], None]
UID = 31234


def _rules(**identity: object) -> Json:
    permitted = {"roleArns": [ROLE], "modes": ["Proxy", "TemporaryCredentials"]}
    required = {"mode": "Required", "profile": "sandbox-agent"}
    return sandbox_class(identity={**permitted, **identity}, appArmor=required)


def _wanted(mode: str = "Proxy", **spec: object) -> Json:
    identity = {"mode": mode, **({"roleArn": ROLE} if mode != "None" else {})}
    return sandbox(identity=identity, **spec)


def _pod(mode: str = "Proxy", **identity: object) -> Json:
    return pod(accepted(_wanted(mode), _rules(**identity)), SETTINGS, UID)


def _containers(built: Json) -> dict[str, Json]:
    spec = built["spec"]
    return {c["name"]: c for c in (*spec["initContainers"], *spec["containers"])}


def _mounts(built: Json) -> dict[str, set[str]]:
    return {
        name: {m["name"] for m in c.get("volumeMounts", []) if m["name"].startswith("aws-")}
        for name, c in _containers(built).items()
    }


def test_pod_whose_proxy_signs(equals_golden: Golden) -> None:
    equals_golden(_pod(region="eu-central-1"), "pod-identity-proxy")


def test_pod_whose_agent_gets_temporary_credentials(equals_golden: Golden) -> None:
    equals_golden(_pod("TemporaryCredentials"), "pod-identity-temporary-credentials")


def test_mode_none_is_a_pod_without_an_identity() -> None:
    rules = _rules()
    assert pod(accepted(_wanted("None"), rules), SETTINGS, UID) == pod(
        accepted(sandbox(), rules), SETTINGS, UID
    )
    assert "annotations" not in service_account(accepted(_wanted("None"), rules))["metadata"]


def test_token_is_mounted_where_it_is_used_and_nowhere_else() -> None:
    for mode in ("Proxy", "TemporaryCredentials"):
        seen = {name for name, mounts in _mounts(_pod(mode)).items() if "aws-iam-token" in mounts}
        assert seen == {"aws-credentials"}


def test_agent_of_a_signing_proxy_mounts_nothing_of_the_identity() -> None:
    assert _mounts(_pod())["agent"] == set()


def test_agent_reads_temporary_credentials_and_cannot_write_them() -> None:
    built = _pod("TemporaryCredentials")
    assert _mounts(built)["agent"] == {"aws-credentials"}
    assert _mounts(built)["egress-proxy"] == {"aws-sts"}
    mounts = _containers(built)["agent"]["volumeMounts"]
    assert [m["readOnly"] for m in mounts if m["name"] == "aws-credentials"] == [True]


def test_token_is_bound_to_the_audience_of_sts() -> None:
    (volume,) = [v for v in _pod()["spec"]["volumes"] if v["name"] == "aws-iam-token"]
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "sts.amazonaws.com"


def test_agent_holds_no_variable_that_could_be_a_key() -> None:
    built = _containers(_pod())["agent"]["env"]
    values = {v["name"]: v["value"] for v in built}
    assert values["AWS_ACCESS_KEY_ID"] == "not-a-key"
    assert values["AWS_SECRET_ACCESS_KEY"].startswith("not-a-secret")
    assert "AWS_SESSION_TOKEN" not in values
    assert not [v for v in values.values() if v.startswith(("AKIA", "ASIA", "ey"))]
    temporary = {v["name"] for v in _containers(_pod("TemporaryCredentials"))["agent"]["env"]}
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} & temporary


def test_session_policy_holds_the_class_models_whatever_the_role_may() -> None:
    model = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-x"
    command = _containers(_pod(modelArns=[model]))["aws-credentials"]["command"]
    policy = json.loads(command[command.index("--policy") + 1])
    assert [s.get("Resource", s.get("NotResource")) for s in policy["Statement"]] == [[model]] * 2


def test_session_name_fits_what_iam_takes() -> None:
    body = _wanted()
    body["metadata"]["name"] = "x" * 200
    command = _containers(pod(accepted(body, _rules()), SETTINGS, UID))["aws-credentials"][
        "command"
    ]
    assert len(command[command.index("--session") + 1]) <= 64


def test_everything_beside_the_agent_is_hardened_as_the_proxy_is() -> None:
    containers = _containers(_pod())
    proxy, own = (
        containers[name]["securityContext"] for name in ("egress-proxy", "aws-credentials")
    )
    assert own == proxy
    annotations = _pod()["metadata"]["annotations"]
    prefix = "container.apparmor.security.beta.kubernetes.io/"
    assert annotations[f"{prefix}aws-credentials"] == "runtime/default"


def test_volume_has_the_name_that_keeps_the_irsa_webhook_away() -> None:
    assert "aws-iam-token" in {v["name"] for v in _pod()["spec"]["volumes"]}


@pytest.mark.parametrize("container", [0, 1])
def test_key_that_admission_puts_into_a_sidecar_is_an_alteration(container: int) -> None:
    built, seen = _pod(), _pod()
    seen["spec"]["initContainers"][container].setdefault("env", []).append(
        {"name": "AWS_PROFILE", "value": "other"}
    )
    assert pod_alterations(built, seen) != []


def test_token_that_is_mounted_into_the_agent_is_an_alteration() -> None:
    built, seen = _pod(), _pod()
    mount = {"name": "aws-iam-token", "mountPath": "/run/token", "readOnly": True}
    seen["spec"]["containers"][0]["volumeMounts"].append(mount)
    assert pod_alterations(built, seen) == ["spec.containers[0].volumeMounts"]


def test_way_out_of_an_empty_allowlist_is_what_the_identity_needs() -> None:
    wanted = accepted(_wanted(egress={"allow": []}), _rules(region="eu-west-1"))
    assert [rule.host for rule in way_out(wanted)] == [
        "sts.eu-west-1.amazonaws.com",
        "bedrock-runtime.eu-west-1.amazonaws.com",
    ]
    policy = network_policy(wanted.sandbox.metadata, way_out(wanted), SETTINGS, None)
    assert policy["spec"]["egress"][1]["ports"] == [{"protocol": "TCP", "port": 443}]


def test_agent_cannot_tunnel_to_the_hosts_that_the_proxy_calls_for_it() -> None:
    files = config_map(accepted(_wanted(), _rules()), SETTINGS)["data"]
    assert "amazonaws.com" not in files["rds.yaml"]


def test_agent_with_credentials_may_tunnel_to_bedrock_and_not_to_sts() -> None:
    files = config_map(accepted(_wanted("TemporaryCredentials"), _rules()), SETTINGS)["data"]
    assert "bedrock-runtime.us-east-1.amazonaws.com:443" in files["rds.yaml"]
    assert "sts." not in files["rds.yaml"]
    assert "3129" not in files["lds.yaml"]


def test_proxy_without_an_identity_has_no_second_listener() -> None:
    files = config_map(accepted(), SETTINGS)["data"]
    assert "3129" not in files["lds.yaml"]
    assert "name: sts" not in files["envoy.yaml"]


OTHER = {
    "models": {"modelArns": ["arn:aws:bedrock:*::foundation-model/anthropic.claude-x"]},
    "region": {"region": "eu-west-1"},
}


@pytest.mark.parametrize("what", OTHER)
def test_pod_of_other_models_or_another_region_is_outdated(what: str) -> None:
    key = "ringfence.dev/spec-hash"
    hashes = [_pod(**changes)["metadata"]["annotations"][key] for changes in ({}, OTHER[what])]
    assert hashes[0] != hashes[1]


def test_other_models_are_other_rules_for_the_running_proxy() -> None:
    rules = [_rules(), _rules(**OTHER["models"])]
    first, fewer = (config_map(accepted(_wanted(), r), SETTINGS)["data"]["lds.yaml"] for r in rules)
    assert first != fewer
