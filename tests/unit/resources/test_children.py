"""Every child of a Sandbox, whole, against its golden file."""

import copy
from collections.abc import Callable
from ipaddress import ip_address, ip_network

import pytest

from ringfence.api import Json
from ringfence.drift import pod_alterations
from ringfence.resources.config_map import config_map
from ringfence.resources.network_policy import network_policy
from ringfence.resources.pod import pod
from ringfence.resources.service_account import service_account
from samples import ROLE, SETTINGS, accepted, sandbox, sandbox_class

Golden = Callable[[Json, str], None]
UID = 31234


def test_pod_of_an_empty_spec(equals_golden: Golden) -> None:
    equals_golden(pod(accepted(), SETTINGS, UID), "pod-default")


def test_pod_with_every_field_of_spec_and_class(equals_golden: Golden) -> None:
    body = sandbox(
        image="registry.example/agent:2",
        command=["python", "-m", "agent"],
        args=["--fast"],
        restartPolicy="Never",
        resources={"cpu": "500m", "memory": "1Gi", "pids": 64, "disk": "1Gi"},
    )
    rules = sandbox_class(
        images={"default": "a", "allowed": ["registry.example/*"]},
        appArmor={"mode": "Required", "profile": "sandbox-agent"},
        userNamespaces="Disabled",
        runtimeClassName="gvisor",
        storage={"storageClassName": "fast"},
        nodeSelector={"pool": "agents"},
        tolerations=[{"key": "agents", "operator": "Exists"}],
        identity={"region": "eu-central-1"},
    )
    equals_golden(pod(accepted(body, rules), SETTINGS, UID), "pod-full")


def test_pod_of_a_class_with_soft_storage(equals_golden: Golden) -> None:
    rules = sandbox_class(storage={"mode": "Soft", "storageClassName": "unused"})
    equals_golden(pod(accepted(rules=rules), SETTINGS, UID), "pod-soft-storage")


def test_volume_has_the_size_that_the_sandbox_asks_for() -> None:
    built = pod(accepted(sandbox(resources={"disk": "1.5Gi"})), SETTINGS, UID)
    claim = built["spec"]["volumes"][0]["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert claim["resources"] == {"requests": {"storage": "1.5Gi"}}


def test_defaults_that_the_api_server_adds_to_the_claim_are_no_alteration() -> None:
    built = pod(accepted(), SETTINGS, UID)
    read = copy.deepcopy(built)
    template = read["spec"]["volumes"][0]["ephemeral"]["volumeClaimTemplate"]
    template["metadata"]["creationTimestamp"] = None
    template["spec"]["resources"]["requests"]["storage"] = "5120Mi"
    assert pod_alterations(built, read) == []


def test_network_policy_denies_everything_but_the_proxys_way_out(equals_golden: Golden) -> None:
    wanted = accepted()
    policy = network_policy(wanted.sandbox.metadata, wanted.egress, SETTINGS, "pod-uid")
    equals_golden(policy, "network-policy-default")


def test_network_policy_of_an_empty_allowlist_has_no_way_out() -> None:
    wanted = accepted(sandbox(egress={"allow": []}))
    policy = network_policy(wanted.sandbox.metadata, wanted.egress, SETTINGS, None)
    assert policy["spec"]["egress"] == []
    assert policy["spec"]["ingress"] == []
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "169.254.170.23", "100.64.0.1"],
)
def test_network_policy_excepts_private_link_local_cgnat_and_metadata(address: str) -> None:
    wanted = accepted()
    policy = network_policy(wanted.sandbox.metadata, wanted.egress, SETTINGS, None)
    (block,) = [
        peer["ipBlock"]
        for rule in policy["spec"]["egress"]
        for peer in rule["to"]
        if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0"
    ]
    assert any(ip_address(address) in ip_network(net) for net in block["except"])


def test_service_account_has_no_token_and_no_role_by_default(equals_golden: Golden) -> None:
    equals_golden(service_account(accepted()), "service-account-default")


def test_service_account_carries_the_irsa_role() -> None:
    body = sandbox(identity={"roleArn": ROLE})
    rules = sandbox_class(identity={"roleArns": ["arn:aws:iam::123456789012:role/agents/*"]})
    built = service_account(accepted(body, rules))
    assert built["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": ROLE}


def test_config_map_holds_the_proxys_files_and_nothing_else() -> None:
    built = config_map(accepted(), SETTINGS)
    assert {"envoy.yaml", "lds.yaml", "rds.yaml"} <= set(built["data"])
    assert "binaryData" not in built


def test_children_carry_no_label_or_annotation_of_the_sandbox() -> None:
    body = sandbox()
    body["metadata"]["labels"] = {"app.kubernetes.io/instance": "an-argo-app"}
    body["metadata"]["annotations"] = {
        "container.apparmor.security.beta.kubernetes.io/agent": "unconfined",
        "argocd.argoproj.io/tracking-id": "x",
    }
    assert pod(accepted(body), SETTINGS, UID) == pod(accepted(), SETTINGS, UID)
