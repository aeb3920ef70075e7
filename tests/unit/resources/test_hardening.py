"""No spec, however hostile, yields a Pod that is less hardened than its class."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ringfence import quantity
from ringfence.api import Invalid, Json, Sandbox, SandboxClass
from ringfence.nodes import Profiles
from ringfence.policy import effective
from ringfence.resources.hardening import harden
from ringfence.resources.pod import pod
from samples import SETTINGS, accepted, sandbox, sandbox_class

UID = 31234

_HOSTILE_KEYS = st.sampled_from(
    [
        "hostNetwork", "hostPID", "hostIPC", "hostUsers", "securityContext", "privileged",
        "volumes", "serviceAccountName", "automountServiceAccountToken", "env", "initContainers",
        "dnsPolicy", "nodeName", "shareProcessNamespace", "annotations", "seccompProfile",
    ]
)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70000) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_HOSTILE_KEYS | st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
_QUANTITIES = st.sampled_from(["1m", "500m", "1", "2", "64Mi", "2Gi", "5Gi", "6Ei", "0", "9999E"])
_SPECS = st.fixed_dictionaries(
    {},
    optional={
        "image": st.sampled_from(["ringfence.dev/sandbox:test", "evil/image:1", "a b", "*"]),
        "command": st.lists(st.text(max_size=20), max_size=4),
        "args": st.lists(st.text(max_size=20), max_size=4),
        "restartPolicy": st.sampled_from(["Always", "Never", "OnFailure", "Sometimes"]),
        "resources": st.dictionaries(
            st.sampled_from(["cpu", "memory", "disk", "pids"]),
            _QUANTITIES | st.integers(-1, 40_000),
            max_size=4,
        ),
        "egress": st.just({"allow": []}) | _JSON,
        "identity": _JSON,
    },
)


def _built(spec: Any) -> Json | None:
    try:
        parsed = Sandbox.parse(sandbox(**spec))
        return pod(effective(parsed, SandboxClass.parse(sandbox_class())), SETTINGS, UID)
    except Invalid:
        return None


@given(_SPECS, st.dictionaries(_HOSTILE_KEYS, _JSON, max_size=2))
def test_no_spec_yields_a_pod_less_hardened_than_its_class(spec: Json, extra: Json) -> None:
    built = _built({**spec, **extra})
    if built is not None:
        _assert_hardened(built)


@given(st.dictionaries(_HOSTILE_KEYS, _JSON), st.dictionaries(_HOSTILE_KEYS, _JSON))
def test_hardening_wins_over_whatever_was_built_before(in_spec: Json, in_agent: Json) -> None:
    built = _built({})
    assert built is not None
    tampered = {k: v for k, v in in_spec.items() if k not in {"volumes", "initContainers"}}
    built["spec"] |= tampered
    built["spec"]["containers"][0] |= {
        k: v for k, v in in_agent.items() if k not in {"env", "annotations"}
    }
    hardened = harden(built, accepted().rules, Profiles(SETTINGS.seccomp_profile, None), UID)
    _assert_fields(hardened)


def _assert_hardened(built: Json) -> None:
    _assert_fields(built)
    limits = built["spec"]["containers"][0]["resources"]["limits"]
    ceiling = {"cpu": "1", "memory": "2Gi", "ephemeral-storage": "256Mi"}
    for name, most in ceiling.items():
        assert 0 < quantity.parse(limits[name]) <= quantity.parse(most)
    _assert_limits_that_the_node_agent_enforces(built)
    assert built["spec"]["serviceAccountName"] == "demo"
    assert [c["name"] for c in built["spec"]["containers"]] == ["agent"]
    assert [c["name"] for c in built["spec"]["initContainers"]] == ["egress-proxy", "guard"]
    _assert_disk(built["spec"])


def _assert_disk(spec: Json) -> None:
    """All that the agent may write is one volume of bounded size, whose root it never sees."""
    workspace, config = spec["volumes"]
    claim = workspace["ephemeral"]["volumeClaimTemplate"]["spec"]
    size = quantity.parse(claim["resources"]["requests"]["storage"])
    assert 0 < size <= quantity.parse("5Gi")
    assert set(config) == {"name", "configMap"}
    mounts = [
        (m["name"], m["mountPath"], m["subPath"]) for m in spec["containers"][0]["volumeMounts"]
    ]
    assert mounts == [("workspace", "/work", "work"), ("workspace", "/tmp", "tmp")]  # noqa: S108
    # The kubelet's own file in the container has no limit: it must be out of the agent's reach.
    assert spec["containers"][0]["terminationMessagePath"] == "/root/.termination-log"


def _assert_limits_that_the_node_agent_enforces(built: Json) -> None:
    proxy = built["spec"]["initContainers"][0]
    variables = {variable["name"]: json.loads(variable["value"]) for variable in proxy["env"]}
    assert set(variables) == {"RINGFENCE_LIMITS", "RINGFENCE_FENCE"}
    assert variables["RINGFENCE_FENCE"] == {"ports": [443], "resolver": SETTINGS.resolver}
    limits = variables["RINGFENCE_LIMITS"]
    assert 0 < limits["pids"] <= 256
    assert 0 < limits["diskBytes"] <= 5 * 2**30
    assert proxy["lifecycle"]["postStart"]["exec"]["command"] == ["wait-for-proxy"]
    assert "seccomp.ringfence.dev/sandbox-agent-" in json.dumps(built["spec"]["affinity"])


def _assert_fields(built: Json) -> None:
    spec = built["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "nodeName"} & set(spec)
    assert spec["hostUsers"] is False
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["shareProcessNamespace"] is False
    assert spec["dnsPolicy"] == "None"
    assert spec["securityContext"]["runAsNonRoot"] is True
    agent, (proxy, guard) = spec["containers"][0], spec["initContainers"]
    assert agent["securityContext"]["runAsUser"] == UID != proxy["securityContext"]["runAsUser"]
    assert guard["securityContext"]["runAsUser"] == UID
    assert "restartPolicy" not in guard
    assert agent["securityContext"]["seccompProfile"]["type"] == "Localhost"
    for container in (agent, proxy, guard):
        context = container["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["privileged"] is False
        assert context["runAsNonRoot"] is True
