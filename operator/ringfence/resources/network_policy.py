"""The NetworkPolicy of a Sandbox: nothing in, and out only what its egress proxy needs. Pure.

NetworkPolicy cannot tell the containers of one Pod apart; that only the proxy uses this way out is
the business of the packet filter inside the Pod.
"""

from ringfence import allowlist, names
from ringfence.api import EgressRule, Json, ObjectMeta
from ringfence.resources.metadata import metadata
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
    policy: Json = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(owner),
        "spec": {
            "podSelector": {"matchLabels": {names.SANDBOX_UID_LABEL: owner.uid}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [],
            "egress": _egress(allow, settings),
        },
    }
    if pod_uid:
        policy["metadata"]["ownerReferences"].append(_pod_reference(owner, pod_uid))
    return policy


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


def _pod_reference(owner: ObjectMeta, pod_uid: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": names.child_name(owner.name),
        "uid": pod_uid,
    }
