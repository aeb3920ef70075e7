"""Whether a Sandbox needs its egress gateway now, and how that one does. Pure.

The gateway is there before the agent's Pod is made, and as long as the agent may run. While it is
away, the agent's network is closed; nothing else follows from it.
"""

from ringfence import drift, names
from ringfence.acceptance import Accepted, is_built_as
from ringfence.api import Json
from ringfence.kinds import POD, SERVICE
from ringfence.pod_state import PodState, has_gateway, pod_state
from ringfence.resources.environment import proxy_address
from ringfence.resources.gateway import gateway_pod
from ringfence.status import Reason


def is_behind(case: Accepted) -> bool:
    """True if the proxy has a Pod of its own. A Pod that exists keeps what it was made with."""
    pod = case.seen.pod
    return has_gateway(pod) if pod else case.wanted.behind_gateway


def is_due(case: Accepted) -> bool:
    """True if there must be a gateway now; an agent that has ended needs none."""
    pod = case.seen.pod
    has_ended = pod is not None and pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
    return is_behind(case) and not has_ended


def pod_name(case: Accepted) -> str | None:
    """Name of the gateway's Pod for the status: while it is due, and until it is gone."""
    if is_due(case) or POD in case.seen.gateway:
        return names.gateway_name(case.seen.owner.name)
    return None


def built(case: Accepted) -> Json:
    """The gateway's Pod as it should be."""
    return gateway_pod(case.wanted, case.settings)


def must_go(case: Accepted, pod: Json) -> bool:
    """True if the gateway's Pod is of no use: an evicted one never runs again."""
    return not is_due(case) or pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def alterations(case: Accepted, pod: Json) -> list[str]:
    """Where the gateway's Pod is not the one that was built; an older one only by its user."""
    wanted = built(case)
    if is_built_as(wanted, pod):
        return drift.pod_alterations(wanted, pod)
    context = pod["spec"].get("securityContext", {})
    return [] if context.get("runAsUser") == names.PROXY_UID else ["spec.securityContext.runAsUser"]


def outdated(case: Accepted) -> list[str]:
    """The name of the gateway's Pod if it was built from an older spec."""
    pod = case.seen.gateway.get(POD)
    if pod is None or not is_due(case) or is_built_as(built(case), pod):
        return []
    return [pod["metadata"]["name"]]


def trouble(case: Accepted) -> PodState | None:
    """Why the gateway does not serve; None if it does, as far as its Pod and its Service tell."""
    name, pod = names.gateway_name(case.seen.owner.name), case.seen.gateway.get(POD)
    starting = PodState("False", Reason.STARTING, f"Pod {name} is starting", "Starting")
    if pod is None or pod["metadata"].get("deletionTimestamp"):
        return starting
    state = pod_state(pod, case.seen.now)
    if state.reason is not Reason.POD_READY:
        return state._replace(message=f"egress gateway: {state.message}")
    return _unreachable(case)


def _unreachable(case: Accepted) -> PodState | None:
    """An agent that looks for its gateway where it is no more: somebody replaced the Service."""
    service, pod = case.seen.gateway.get(SERVICE), case.seen.pod
    address = (service or {}).get("spec", {}).get("clusterIP")
    if pod is None or proxy_address(pod) == address:
        return None
    message = (
        f"the Pod knows its egress gateway as {proxy_address(pod)}, and that is {address} now: "
        f"kubectl delete pod {pod['metadata']['name']}"
    )
    return PodState("False", Reason.GATEWAY_NOT_READY, message, "Running")


def judged(case: Accepted, state: PodState) -> PodState:
    """`state` of the agent's Pod as that of its gateway leaves it."""
    if not is_due(case) or state.reason not in {Reason.POD_READY, Reason.STARTING}:
        return state
    found = trouble(case)
    if found is None or (found.reason is Reason.STARTING and state.reason is Reason.STARTING):
        return state
    if state.reason is Reason.STARTING:
        return found
    message = f"the network is closed, as the egress gateway is not ready: {found.message}"
    return PodState("False", Reason.GATEWAY_NOT_READY, message, "Running")
