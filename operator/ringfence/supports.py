"""What a Sandbox must have beside its Pods: account, policies, proxy configuration, address. Pure.

All of it is read back as built before a Pod is made. It follows the Pod that runs: a class that
changes its mode meanwhile must not take the way out from under it.
"""

from ringfence import gateway_state
from ringfence.acceptance import Accepted, Observed, gateway_address, is_ours
from ringfence.api import EgressRule, Json
from ringfence.kinds import CONFIG_MAP, NETWORK_POLICY, POD, SERVICE, SERVICE_ACCOUNT, Kind
from ringfence.policy import way_out
from ringfence.readiness import fault
from ringfence.resources import egress
from ringfence.resources.config_map import config_map
from ringfence.resources.gateway import gateway_service
from ringfence.resources.network_policy import (
    behind_gateway_policy,
    gateway_policy,
    network_policy,
)
from ringfence.resources.service_account import service_account
from ringfence.settings import Settings

Supports = list[tuple[Kind, Json, Json | None]]
"""Kind, the object as it should be, and as it was read."""


def supports(case: Accepted) -> Supports:
    """Each supporting object, wanted and seen."""
    allow = () if fault(case) else way_out(case.wanted)  # a Pod that breaks its promise is cut off
    behind = gateway_state.is_behind(case)
    listen = egress.GATEWAY_ADDRESS if behind else egress.PROXY_ADDRESS
    own = {
        SERVICE_ACCOUNT: service_account(case.wanted),
        NETWORK_POLICY: _fence(case, allow, behind=behind),
        CONFIG_MAP: config_map(case.wanted, case.settings, listen),
    }
    found = [(kind, body, case.seen.children.get(kind)) for kind, body in own.items()]
    return found + (_of_gateway(case, allow) if gateway_state.is_due(case) else [])


def _fence(case: Accepted, allow: tuple[EgressRule, ...], *, behind: bool) -> Json:
    """Behind a gateway the way to it stays open with an empty allowlist: it says why it refuses."""
    owner, pod_uid = case.seen.owner, _uid(case.seen.pod)
    if behind and not fault(case):
        return behind_gateway_policy(owner, pod_uid)
    return network_policy(owner, allow, case.settings, pod_uid)


def _of_gateway(case: Accepted, allow: tuple[EgressRule, ...]) -> Supports:
    seen = case.seen
    policy = gateway_policy(seen.owner, allow, case.settings, _uid(seen.gateway.get(POD)))
    service = gateway_service(seen.owner, gateway_address(seen))
    return [
        (NETWORK_POLICY, policy, seen.gateway.get(NETWORK_POLICY)),
        (SERVICE, service, seen.gateway.get(SERVICE)),
    ]


def closed(seen: Observed, settings: Settings) -> Supports:
    """The policies of the Pods that run, without any way out."""
    found: Supports = []
    if seen.pod:
        policy = network_policy(seen.owner, (), settings, _uid(seen.pod))
        found.append((NETWORK_POLICY, policy, seen.children.get(NETWORK_POLICY)))
    if all(is_ours(body, seen.owner.uid) for body in seen.gateway.values()) and seen.gateway:
        policy = gateway_policy(seen.owner, (), settings, _uid(seen.gateway.get(POD)))
        found.append((NETWORK_POLICY, policy, seen.gateway.get(NETWORK_POLICY)))
    return found


def _uid(pod: Json | None) -> str | None:
    return pod["metadata"]["uid"] if pod else None
