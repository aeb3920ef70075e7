"""The NetworkPolicies of a Sandbox: nothing in, and out only what its egress proxy needs. Pure.

NetworkPolicy cannot tell the containers of one Pod apart; that only the proxy uses this way out is
the business of the packet filter inside the Pod. It tells Pods apart: where the proxy has a Pod of
its own, each of the two gets a policy, and the agent's Pod reaches that other Pod and nothing else.
"""

from collections.abc import Sequence
from typing import Final

from ringfence import allowlist, names
from ringfence.api import EgressRule, Json, ObjectMeta
from ringfence.resources.envoy_common import PROXY_PORT
from ringfence.resources.metadata import gateway_metadata, metadata
from ringfence.settings import Settings


def network_policy(
    owner: ObjectMeta, allow: tuple[EgressRule, ...], settings: Settings, pod_uid: str | None
) -> Json:
    """Deny-all plus the proxy's way out.

    Args:
        owner: Metadata of the Sandbox.
        allow: What its proxy may reach; nothing at all when empty.
        settings: Where the cluster's DNS is.
        pod_uid: uid of the running Pod. It becomes a second owner, so that the policy outlives the
            Sandbox until the Pod is really gone; the garbage collector keeps no other order.
    """
    return _policy(
        metadata(owner, pod_uid=pod_uid),
        selects={names.SANDBOX_UID_LABEL: owner.uid},
        egress=_egress(allow, settings),
    )


def behind_gateway_policy(owner: ObjectMeta, pod_uid: str | None) -> Json:
    """Deny-all plus the way to the Sandbox's own egress gateway; the agent's Pod has no DNS."""
    return _policy(
        metadata(owner, pod_uid=pod_uid),
        selects={names.SANDBOX_UID_LABEL: owner.uid},
        egress=[{"to": [_pods({names.GATEWAY_UID_LABEL: owner.uid})], "ports": [_PROXY_PORT]}],
    )


def gateway_policy(
    owner: ObjectMeta, allow: tuple[EgressRule, ...], settings: Settings, pod_uid: str | None
) -> Json:
    """The egress gateway: in from its Sandbox alone, and the proxy's way out.

    The arguments are those of `network_policy`, for the Pod of the gateway.
    """
    return _policy(
        gateway_metadata(owner, pod_uid=pod_uid),
        selects={names.GATEWAY_UID_LABEL: owner.uid},
        ingress=[{"from": [_pods({names.SANDBOX_UID_LABEL: owner.uid})], "ports": [_PROXY_PORT]}],
        egress=_egress(allow, settings),
    )


_PROXY_PORT: Final = {"protocol": "TCP", "port": PROXY_PORT}


def _policy(
    meta: Json, *, selects: dict[str, str], egress: list[Json], ingress: Sequence[Json] = ()
) -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta,
        "spec": {
            "podSelector": {"matchLabels": selects},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": list(ingress),
            "egress": egress,
        },
    }


def _pods(labels: dict[str, str]) -> Json:
    """Pods of the same namespace."""
    return {"podSelector": {"matchLabels": labels}}


def _egress(rules: tuple[EgressRule, ...], settings: Settings) -> list[Json]:
    """No destination allowed means no way out at all, not even DNS."""
    ports = sorted({port for rule in rules for port in rule.ports})
    return [_to_dns(settings), _to_public_ipv4(ports)] if ports else []


def _to_dns(settings: Settings) -> Json:
    pods = {
        "namespaceSelector": {
            "matchLabels": {"kubernetes.io/metadata.name": settings.dns_namespace}
        },
        "podSelector": {"matchLabels": {"k8s-app": settings.dns_app}},
    }
    address = {"ipBlock": {"cidr": f"{settings.resolver}/32"}}
    return {
        "to": [pods, address],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }


def _to_public_ipv4(ports: list[int]) -> Json:
    """IPv6 has no rule, so nothing leaves by it."""
    denied = [str(network) for network in allowlist.denied_ipv4()]
    return {
        "to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": denied}}],
        "ports": [{"protocol": "TCP", "port": port} for port in ports],
    }
