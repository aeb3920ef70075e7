"""What to do about a Sandbox that is not Ready, by the reason that it gives. Pure.

The words are for people at a command line; programs read the reason itself.
"""

from typing import Final

_WAIT: Final = "wait; it goes on by itself"
_ADMINISTRATOR: Final = "ask whoever administers the cluster"

_ADVICE: Final = {
    "Starting": _WAIT,
    "WaitingForScheduler": _WAIT,
    "NotVerified": _WAIT,
    "PodReady": "",
    "PostureNotVerified": "see which layer is Degraded below; if it stays so, delete the Sandbox, "
    "as it does not run as promised",
    "NodeAgentNotReady": "look at the node agent: kubectl -n ringfence-system get pods",
    "NodeAgentLost": "look at the node agent: kubectl -n ringfence-system get pods",
    "ProfilesNotInstalled": "look at the nodes: kubectl get sandboxnodes",
    "ProfilesLost": "look at the nodes: kubectl get sandboxnodes",
    "LimitNotInForce": "see the message; an administrator can look at the node agent's log",
    "InvalidSpec": "correct the field that the message names, and apply again",
    "ClassNotFound": "name one that exists: kubectl get sandboxclasses",
    "ClassInvalid": f"{_ADMINISTRATOR}: the SandboxClass itself is wrong",
    "ClassCeilingExceeded": "ask for less, or for another class: kubectl get sandboxclasses",
    "IsolationBelowMinimum": "choose another class, or let an administrator repair the layer that "
    "the message names",
    "NameConflict": "choose another name, or remove the object in the way",
    "UidsExhausted": "delete Sandboxes that nobody needs: ringfence ls -A",
    "NamespaceTerminating": "choose another namespace",
    "Rejected": "read what the API server says; often a quota or Pod Security",
    "Unschedulable": "free room on a node, or ask for less cpu and memory",
    "WorkspacePending": "look at the volume: kubectl get pvc; the StorageClass may have no room",
    "WorkspaceMounted": "",
    "ImagePullFailed": "check the image's name, and that the node may pull it",
    "ContainerCreateFailed": "look at the node: kubectl get sandboxnodes",
    "ContainerCrashing": "see why it ends: ringfence logs NAME --previous",
    "PodAltered": "find out which webhook or person changes Pods of this namespace",
    "PodFailed": "see why it ended: ringfence logs NAME",
    "PodSucceeded": "nothing: it has done its work; delete it when you have its results",
    "Scheduled": "",
    "Current": "",
    "Outdated": "delete the Pod, and it comes back with the new spec: kubectl delete pod NAME",
    "ProfilesInstalled": "",
    "Verified": "",
}

HOPELESS: Final = frozenset(
    {
        "InvalidSpec",
        "ClassNotFound",
        "ClassInvalid",
        "ClassCeilingExceeded",
        "IsolationBelowMinimum",
        "NameConflict",
        "NamespaceTerminating",
    }
)
"""Reasons of a Sandbox that no waiting changes."""


def advice(reason: str, name: str) -> str:
    """What to do about a reason; empty if there is nothing to do, or nothing known."""
    return _ADVICE.get(reason, "").replace("NAME", name)


def known() -> frozenset[str]:
    """Every reason that there is advice for, or that needs none."""
    return frozenset(_ADVICE)
