"""The API server itself: a profile on every container cannot be replaced by an annotation.

No node needs AppArmor for this: the Pods are only offered to the API server. The last test shows
the hole that a profile on the Pod as a whole would leave open.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from cluster import ClusterError, config
from ringfence.nodes import Profiles
from ringfence.profiles.provider import profile_names
from ringfence.resources.hardening import APPARMOR_ANNOTATION, harden
from samples import accepted

if TYPE_CHECKING:
    from cluster import Cluster

OWN = profile_names("Builtin")
AGENT = f"{APPARMOR_ANNOTATION}agent"


def _hardened() -> dict[str, Any]:
    """A Pod as the operator hardens it, with nothing else that the API server would check."""
    container = {"image": config.BUSYBOX_IMAGE}
    bare = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"test-{uuid4().hex[:8]}"},
        "spec": {
            "initContainers": [{"name": "egress-proxy", "restartPolicy": "Always", **container}],
            "containers": [{"name": "agent", **container}],
        },
    }
    return harden(bare, accepted().rules, Profiles(*OWN), 30000)


def _offer(cluster: Cluster, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the API server would store."""
    words = ("create", "--dry-run=server", "-n", namespace, "-o", "json", "-f", "-")
    stored: dict[str, Any] = json.loads(cluster.kubectl(*words, input=json.dumps(body)))
    return stored


def test_stored_pod_has_the_profile_in_field_and_annotation(
    cluster: Cluster, namespace: str
) -> None:
    stored = _offer(cluster, namespace, _hardened())
    context = stored["spec"]["containers"][0]["securityContext"]
    assert context["appArmorProfile"] == {"type": "Localhost", "localhostProfile": OWN.app_armor}
    assert stored["metadata"]["annotations"][AGENT] == f"localhost/{OWN.app_armor}"


@pytest.mark.parametrize("container", ["agent", "egress-proxy"])
@pytest.mark.parametrize("value", ["unconfined", "localhost/other"])
def test_annotation_that_says_otherwise_is_refused(
    cluster: Cluster, namespace: str, container: str, value: str
) -> None:
    body = _hardened()
    body["metadata"]["annotations"][APPARMOR_ANNOTATION + container] = value
    with pytest.raises(ClusterError, match="in annotation and field must match"):
        _offer(cluster, namespace, body)


def test_profile_on_the_pod_alone_could_be_replaced_by_an_annotation(
    cluster: Cluster, namespace: str
) -> None:
    body = copy.deepcopy(_hardened())
    own = body["spec"]["containers"][0]["securityContext"].pop("appArmorProfile")
    body["spec"]["securityContext"]["appArmorProfile"] = own
    body["metadata"]["annotations"][AGENT] = "localhost/other"
    stored = _offer(cluster, namespace, body)
    context = stored["spec"]["containers"][0]["securityContext"]
    assert context["appArmorProfile"] == {"type": "Localhost", "localhostProfile": "other"}
