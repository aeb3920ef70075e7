"""What a Sandbox behind a gateway becomes, whole, and never less hardened than its class."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ringfence import names
from ringfence.api import Json
from ringfence.drift import child_drift, pod_alterations
from ringfence.policy import Effective
from ringfence.resources import egress
from ringfence.resources.config_map import config_map
from ringfence.resources.environment import proxy_address
from ringfence.resources.gateway import gateway_pod, gateway_service
from ringfence.resources.network_policy import behind_gateway_policy, gateway_policy
from ringfence.resources.pod import pod
from samples import SETTINGS, accepted, sandbox, sandbox_class

Golden = Callable[[Json, str], None]
UID = 31234
ADDRESS = "10.96.7.7"


def behind(body: Json | None = None, **rules: Any) -> Effective:
    wanted = accepted(body, sandbox_class(egress={"mode": "Gateway"}, **rules))
    return replace(wanted, gateway_address=ADDRESS)


def test_pod_behind_a_gateway(equals_golden: Golden) -> None:
    equals_golden(pod(behind(), SETTINGS, UID), "pod-behind-gateway")


def test_pod_of_the_gateway(equals_golden: Golden) -> None:
    equals_golden(gateway_pod(behind(), SETTINGS), "gateway-pod")


def test_pod_of_the_gateway_with_every_field_of_the_class(equals_golden: Golden) -> None:
    wanted = behind(
        appArmor={"mode": "Required", "profile": "sandbox-agent"},
        userNamespaces="Disabled",
        runtimeClassName="gvisor",
        nodeSelector={"pool": "agents"},
        tolerations=[{"key": "agents", "operator": "Exists"}],
    )
    equals_golden(gateway_pod(wanted, SETTINGS), "gateway-pod-full")


def test_policies_of_both_pods(equals_golden: Golden) -> None:
    wanted = behind()
    owner = wanted.sandbox.metadata
    equals_golden(behind_gateway_policy(owner, "pod-uid"), "network-policy-behind-gateway")
    policy = gateway_policy(owner, wanted.egress, SETTINGS, "gateway-uid")
    equals_golden(policy, "network-policy-gateway")


def test_service_of_the_gateway(equals_golden: Golden) -> None:
    equals_golden(gateway_service(behind().sandbox.metadata, ADDRESS), "gateway-service")


def test_address_that_the_api_server_gives_is_no_drift() -> None:
    wanted = gateway_service(behind().sandbox.metadata, None)
    seen = copy.deepcopy(wanted)
    seen["spec"] |= {"clusterIP": ADDRESS, "clusterIPs": [ADDRESS]}
    del seen["spec"]["externalIPs"]
    assert child_drift(wanted, seen) == []
    assert child_drift(gateway_service(behind().sandbox.metadata, "10.96.8.8"), seen) != []


def test_pods_as_the_api_server_returns_them_are_not_altered() -> None:
    for built in (pod(behind(), SETTINGS, UID), gateway_pod(behind(), SETTINGS)):
        read = copy.deepcopy(built)
        del read["spec"]["shareProcessNamespace"]
        if not read["spec"]["initContainers"]:
            del read["spec"]["initContainers"]
        assert pod_alterations(built, read) == []


def test_gateway_listens_for_its_sandbox_and_has_the_same_rules_as_a_sidecar() -> None:
    own = config_map(behind(), SETTINGS, egress.GATEWAY_ADDRESS)["data"]
    sidecars = config_map(behind(), SETTINGS)["data"]
    gateways, others = (yaml.safe_load(files["lds.yaml"])["resources"] for files in (own, sidecars))
    place = gateways[0].pop("address"), others[0].pop("address")
    assert place[0] == {"socket_address": {"address": "0.0.0.0", "port_value": 3128}}  # noqa: S104
    assert gateways == others
    assert all("internal_listener" in item for item in gateways[1:])
    assert "admin" not in yaml.safe_load(own["envoy.yaml"])
    assert own["rds.yaml"] == sidecars["rds.yaml"]
    assert own["envoy.yaml"] == sidecars["envoy.yaml"]


@pytest.mark.parametrize(
    ("spec", "rules", "words"),
    [
        ({}, {}, ["60", ADDRESS, "10.96.0.10"]),
        ({"restartPolicy": "Never"}, {}, ["600", ADDRESS, "10.96.0.10"]),
        ({}, {"runtimeClassName": "kata"}, ["--without-limits", "60", ADDRESS, "10.96.0.10"]),
    ],
)
def test_guard_is_told_what_to_wait_for(spec: Json, rules: Json, words: list[str]) -> None:
    (guard,) = pod(behind(sandbox(**spec), **rules), SETTINGS, UID)["spec"]["initContainers"]
    assert guard["command"] == ["wait-for-gateway", *words]


def test_address_of_the_proxy_is_read_back_from_the_pod() -> None:
    assert proxy_address(pod(behind(), SETTINGS, UID)) == ADDRESS
    assert proxy_address(pod(accepted(), SETTINGS, UID)) == "127.0.0.1"


@pytest.mark.parametrize("value", ["", "http://evil.example:3128", "http://10.0.0.1", "x", None])
def test_anything_but_an_address_is_no_address(value: str | None) -> None:
    built = pod(behind(), SETTINGS, UID)
    agent = built["spec"]["containers"][0]
    agent["env"] = [] if value is None else [{"name": "HTTPS_PROXY", "value": value}]
    assert proxy_address(built) is None


@pytest.mark.parametrize("name", ["demo", "a.b", "1st", "a" * 253, "gateway-demo", "x" * 56])
def test_name_of_a_gateway_is_a_dns_label_and_no_name_of_another_child(name: str) -> None:
    found = names.gateway_name(name)
    assert len(found) <= 63
    assert "." not in found
    assert found[0].isalpha()
    assert found[-1].isalnum()
    assert found != names.child_name(name)


def test_names_that_differ_in_a_dot_have_different_gateways() -> None:
    assert names.gateway_name("a.b") != names.gateway_name("a-b")


_CLASSES = st.fixed_dictionaries(
    {},
    optional={
        "userNamespaces": st.sampled_from(["Enabled", "Disabled"]),
        "appArmor": st.sampled_from([{"mode": "Required"}, {"mode": "Disabled"}]),
        "runtimeClassName": st.just("gvisor"),
        "storage": st.just({"mode": "Soft"}),
    },
)
_SPECS = st.fixed_dictionaries(
    {},
    optional={
        "command": st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=3),
        "restartPolicy": st.sampled_from(["Always", "Never", "OnFailure"]),
        "egress": st.just({"allow": []}),
        "resources": st.just({"cpu": "500m", "pids": 64}),
    },
)


@given(_SPECS, _CLASSES)
def test_no_spec_and_no_class_yield_pods_less_hardened_behind_a_gateway(
    spec: Json, rules: Json
) -> None:
    wanted = behind(sandbox(**spec), **rules)
    agent, gateway = pod(wanted, SETTINGS, UID), gateway_pod(wanted, SETTINGS)
    _assert_hardened(agent, {"guard": UID, "agent": UID})
    _assert_hardened(gateway, {"egress-proxy": names.PROXY_UID})
    for body in (agent, gateway):
        host_users = body["spec"].get("hostUsers")
        assert host_users is (None if rules.get("userNamespaces") == "Disabled" else False)
    _assert_only_the_agent_is_a_sandboxs(agent, gateway)
    assert "runtimeClassName" not in gateway["spec"]


def _assert_hardened(body: Json, users: dict[str, int]) -> None:
    spec = body["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "nodeName"} & set(spec)
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["dnsPolicy"] == "None"
    found = [*spec["initContainers"], *spec["containers"]]
    assert [c["name"] for c in found] == list(users)
    for container in found:
        context = container["securityContext"]
        assert context["runAsUser"] == context["runAsGroup"] == users[container["name"]]
        assert context["runAsNonRoot"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["privileged"] is False
        agent = container["name"] == "agent"
        assert context["seccompProfile"]["type"] == ("Localhost" if agent else "RuntimeDefault")
        assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"]["limits"])


def _assert_only_the_agent_is_a_sandboxs(agent: Json, gateway: Json) -> None:
    """The two labels that policies select by, and what each Pod mounts."""
    labels = [body["metadata"]["labels"].keys() for body in (agent, gateway)]
    assert [names.SANDBOX_UID_LABEL in found for found in labels] == [True, False]
    assert [names.GATEWAY_UID_LABEL in found for found in labels] == [False, True]
    assert [v["name"] for v in gateway["spec"]["volumes"]] == ["egress-config"]
    assert "egress-config" not in json.dumps(agent["spec"])
    variables = [v["name"] for v in agent["spec"]["initContainers"][0]["env"]]
    assert variables == ["RINGFENCE_LIMITS", "RINGFENCE_NODE_ADDRESS"]
