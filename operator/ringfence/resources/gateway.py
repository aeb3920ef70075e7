"""The egress gateway of a Sandbox: the proxy in a Pod of its own, and the address it keeps. Pure.

The same Envoy with the same files as the sidecar, hardened by the same function. Its NetworkPolicy
is in network_policy.py. Nothing that an author writes reaches this module, not even the allowlist.
"""

from ringfence import names
from ringfence.api import Json, ObjectMeta
from ringfence.nodes import Profiles
from ringfence.policy import Effective
from ringfence.resources import egress
from ringfence.resources.hardening import harden
from ringfence.resources.metadata import gateway_metadata, gateway_pod_labels
from ringfence.resources.placement import placement
from ringfence.resources.pod import GRACE_SECONDS, config_volume, proxy, with_hashes
from ringfence.settings import Settings


def gateway_pod(wanted: Effective, settings: Settings) -> Json:
    """The hardened Pod of the gateway.

    It runs where Sandboxes of the class may run, and never under the class's own runtime: that is
    there to contain the agent, and none of the agent's code runs here.
    """
    profiles = Profiles(settings.seccomp_profile, wanted.app_armor)
    place = placement(wanted.rules, profiles)
    place.pop("runtimeClassName", None)
    spec: Json = {
        "serviceAccountName": names.child_name(wanted.sandbox.metadata.name),
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "initContainers": [],
        "containers": [proxy(settings, egress.wait_args(limits=False))],
        "volumes": [config_volume(wanted)],
        **place,
    }
    meta = gateway_metadata(wanted.sandbox.metadata)
    meta["labels"] = gateway_pod_labels(wanted.sandbox.metadata)
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
    return with_hashes(harden(body, wanted.rules, profiles, names.PROXY_UID), wanted)


def gateway_service(owner: ObjectMeta, address: str | None) -> Json:
    """What gives the gateway an address that outlives its Pod.

    It opens nothing: whoever changes it can lead the agent astray, but the agent's NetworkPolicy
    lets it reach the gateway alone, whatever the Service says.

    Args:
        owner: Metadata of the Sandbox.
        address: Cluster address to ask for; None: the API server chooses one.
    """
    spec: Json = {
        "type": "ClusterIP",
        "selector": {names.GATEWAY_UID_LABEL: owner.uid},
        "ports": [
            {
                "name": "proxy",
                "protocol": "TCP",
                "port": egress.PROXY_PORT,
                "targetPort": egress.PROXY_PORT,
            }
        ],
        "externalIPs": [],
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "sessionAffinity": "None",
    }
    if address:
        spec |= {"clusterIP": address, "clusterIPs": [address]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": gateway_metadata(owner),
        "spec": spec,
    }
