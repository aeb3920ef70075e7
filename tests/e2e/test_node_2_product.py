"""The product on a node with AppArmor and cgroup v2: the same images, the same chart, one class.

What only AppArmor stops is tried twice: under the profile, where all of it is refused, and in a
copy of the Pod without it, where all of it works. The machine is slow, so Pods are shared.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import attack_table
import node_agent
import on_node_2
import support
from attacked import attack, copy, only, start
from cluster import config
from on_node_2 import CLASS, SECONDS, WRITE_RATE
from pods import fresh_namespace
from probes import places
from ringfence.attack.defences import APP_ARMOR
from ringfence.attack.rows import ROWS
from ringfence.profiles.apparmor import profile_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster import Cluster

pytestmark = [
    pytest.mark.node2,
    pytest.mark.usefixtures("ringfence"),
    pytest.mark.timeout(900),
]

Json = dict[str, Any]
SIZE = 60 * 2**20
WRITE = f"""
import mmap, os, time
block = mmap.mmap(-1, 2**20)  # the kernel wants aligned memory
file = os.open("/work/x", os.O_CREAT | os.O_WRONLY | os.O_DIRECT)
begun = time.monotonic()
for _ in range({SIZE >> 20}):
    os.write(file, block)
print(time.monotonic() - begun)
os.unlink("/work/x")
"""
JOB = """
import numpy, pathlib
out = pathlib.Path("/work/out.csv")
numpy.savetxt(out, numpy.linalg.qr(numpy.arange(60.0).reshape(20, 3))[0], delimiter=",")
print(numpy.__file__, len(out.read_text().splitlines()))
"""


@pytest.fixture(scope="module")
def namespace_2(node_2: Cluster) -> Iterator[str]:
    """A namespace with the Sandbox `demo` on node 2."""
    support.apply(node_2, on_node_2.sandbox_class(node_2))
    with fresh_namespace(node_2) as namespace:
        support.create_sandbox(node_2, namespace, className=CLASS)
        on_node_2.wait_ready(node_2, namespace, "demo")
        yield namespace
    node_2.kubectl("delete", "sandboxclass", CLASS)


def layers(cluster: Cluster, namespace: str) -> dict[str, Json]:
    body = support.get(cluster, "sandbox", namespace, "demo")
    assert body
    found: dict[str, Json] = body["status"]["isolation"]
    return found


def test_every_layer_is_enforced_and_read_back(node_2: Cluster, namespace_2: str) -> None:
    enforced = ("process", "namespaces", "seccomp", "appArmor", "network")
    expected = {
        **dict.fromkeys(enforced, "Enforced"),
        "resources": "Degraded",
        "audit": "NotAvailable",
    }
    last: dict[str, Json] = {}

    def as_expected() -> bool:
        """Not at once: on a slow machine a heartbeat may be late."""
        last.update(layers(node_2, namespace_2))
        return {name: layer["state"] for name, layer in last.items()} == expected

    try:
        support.poll("the layers", as_expected)
    except AssertionError:
        pytest.fail(json.dumps(last, indent=1))
    assert last["appArmor"]["message"] == f"{profile_name()} enforce"
    assert last["resources"]["reason"] == "SoftLimits"


def test_field_and_annotation_name_the_same_profile(node_2: Cluster, namespace_2: str) -> None:
    pod = support.get(node_2, "pod", namespace_2, "demo")
    assert pod
    prefix = "container.apparmor.security.beta.kubernetes.io/"
    annotations = pod["metadata"]["annotations"]
    fields = {
        c["name"]: c["securityContext"]["appArmorProfile"]
        for c in (*pod["spec"]["initContainers"], *pod["spec"]["containers"])
    }
    assert fields["agent"] == {"type": "Localhost", "localhostProfile": profile_name()}
    assert annotations[f"{prefix}agent"] == f"localhost/{profile_name()}"
    for name in fields.keys() - {"agent"}:
        assert fields[name] == {"type": "RuntimeDefault"}
        assert annotations[f"{prefix}{name}"] == "runtime/default"


# --- cgroup v2 ----------------------------------------------------------------------------------


def test_limits_are_in_the_kernel_and_reported(node_2: Cluster, namespace_2: str) -> None:
    text = node_2.kubectl("get", "sandboxnode", config.NODE_2_NAME, "-o", "json")
    assert json.loads(text)["status"]["cgroupVersion"] == 2
    found = on_node_2.limits_of_agent(node_2, namespace_2, "demo")
    assert found["pids.max"] == "256"
    assert f"wbps={WRITE_RATE}" in found["io.max"]
    message = layers(node_2, namespace_2)["resources"]["message"]
    assert "pids 256 (container cgroup)" in message
    assert f"write bytes {WRITE_RATE}/s" in message


def test_fork_bomb_ends_at_the_limit(node_2: Cluster, namespace_2: str) -> None:
    seen = json.loads(support.python(node_2, namespace_2, "demo", node_agent.FORK_BOMB))
    assert seen["again"]
    assert 200 < seen["children"] < 256


def test_agent_writes_no_faster_than_its_class_allows(node_2: Cluster, namespace_2: str) -> None:
    seconds = float(support.python(node_2, namespace_2, "demo", WRITE))
    free = on_node_2.free_writes_per_second(node_2, SIZE)
    assert SIZE / seconds < 1.25 * WRITE_RATE < free


# --- AppArmor -----------------------------------------------------------------------------------


def test_wheel_with_native_code_is_installed_and_used_under_apparmor(
    node_2: Cluster, namespace_2: str
) -> None:
    """From the index through the egress proxy, as in the sample job, which takes 12 min here."""
    install = ("pip", "install", "--quiet", "--no-compile", "--timeout", "120", "numpy")
    support.execute(node_2, namespace_2, "demo", *install)
    place, rows = support.python(node_2, namespace_2, "demo", JOB).split()
    assert place.startswith("/work/")
    assert rows == "20"


def confined(_pod: Json) -> None:
    """The Pod as the operator built it."""


def unconfined(pod: Json) -> None:
    (container,) = pod["spec"]["containers"]
    container["securityContext"]["appArmorProfile"] = {"type": "Unconfined"}
    pod["metadata"]["annotations"] = {}


def baited(pod: Json) -> None:
    """What the profile protects is there, and the agent's own uid may have it."""
    spec = pod["spec"]
    # Nothing here concerns the network, and each container takes its time to start.
    sidecars = {container["name"] for container in spec.pop("initContainers")}
    annotations = pod["metadata"]["annotations"]
    for key in [key for key in annotations if key.rpartition("/")[2] in sidecars]:
        del annotations[key]
    mounts = spec["containers"][0]["volumeMounts"]
    for number, place in enumerate(places.DIRECTORIES):
        spec["volumes"].append({"name": f"bait-{number}", "emptyDir": {"sizeLimit": "1Mi"}})
        mounts.append({"name": f"bait-{number}", "mountPath": place})
    spec["volumes"].append({"name": "file", "configMap": {"name": "bait", "defaultMode": 0o555}})
    for place in (*places.FILES, *places.PROGRAMS):
        mounts.append({"name": "file", "mountPath": place, "subPath": "bait"})


@pytest.fixture(scope="module", params=[confined, unconfined], ids=["confined", "unconfined"])
def bait(request: pytest.FixtureRequest, node_2: Cluster, namespace_2: str) -> Iterator[str]:
    """A copy of the Pod with bait, under the profile or not; its name."""
    # The copy without the profile is none that Pod Security would let in.
    node_2.kubectl("label", "ns", namespace_2, "pod-security.kubernetes.io/enforce-")
    original = support.get(node_2, "pod", namespace_2, "demo")
    assert original
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "bait", "namespace": namespace_2},
        "data": {"bait": "#!/bin/sh\n"},
    }
    support.apply(node_2, config_map)
    name: str = request.param.__name__
    pod = copy(original, name, request.param)
    pod["spec"]["tolerations"] = original["spec"]["tolerations"]
    baited(pod)
    start(node_2, pod, seconds=int(SECONDS))
    yield name
    node_2.kubectl("delete", "pod", "-n", namespace_2, name, "--wait=false")


def test_what_the_profile_protects_is_refused_under_it_and_only_then(
    node_2: Cluster, namespace_2: str, bait: str
) -> None:
    program = Path(places.__file__).read_text()
    forbidden, own = json.loads(support.python(node_2, namespace_2, bait, program))
    expected = "refused" if bait == "confined" else "allowed"
    assert forbidden == dict.fromkeys(places.forbidden(), expected)
    assert own == dict.fromkeys(places.own(), "allowed")


def test_rows_of_the_attack_table_hold_under_the_profile_and_only_then(
    node_2: Cluster, namespace_2: str, bait: str
) -> None:
    """Two rows rest on it alone; of the others it is a second defence, which is seen or missed."""
    alone = {row.name for row in ROWS if row.needs_app_armor}
    second = {row.name for row in ROWS if APP_ARMOR in row.also}
    with attack_table.open_world(node_2):
        run = attack(node_2, namespace_2, "--pod", bait, *only(sorted(alone | second)))
    label = f"{APP_ARMOR.layer} ({APP_ARMOR.label})"
    seen = {row["name"] for row in run.document["rows"] if label in row["also"]}
    assert run.failed == (set() if bait == "confined" else alone), run.document
    assert seen == (second if bait == "confined" else set())


def test_profile_in_complain_mode_is_enforced_again(node_2: Cluster, namespace_2: str) -> None:
    """The runtime would start containers under it, and the kernel would refuse nothing."""
    on_node_2.load_profile(node_2, profile_name(), complain=True)

    def enforced() -> bool:
        return on_node_2.mode_of_profile(node_2, profile_name()) == "enforce"

    support.poll("the profile to be enforced again", enforced)
    said = support.python(
        node_2, namespace_2, "demo", "print(open('/proc/self/attr/current').read())"
    )
    assert said.strip() == f"{profile_name()} (enforce)"


def test_profile_in_complain_mode_is_no_confinement(node_2: Cluster, namespace: str) -> None:
    """A profile of somebody else's, which the node agent therefore does not load again."""
    other = f"other-{namespace}"
    on_node_2.load_profile(node_2, other)
    try:
        profile = {"type": "Localhost", "localhostProfile": other}
        pod = node_agent.body(node_2, namespace, appArmorProfile=profile)
        pod["spec"] |= on_node_2.PLACEMENT
        node_agent.create(node_2, pod)
        on_node_2.wait_posture(node_2, namespace, "True")
        on_node_2.load_profile(node_2, other, complain=True)
        said = on_node_2.wait_posture(node_2, namespace, "False")
        condition = said["ringfence.dev/AppArmor"]
        assert (condition["status"], condition["reason"]) == ("False", "Unconfined")
        assert condition["message"] == f"{other} complain instead of {other} enforce"
    finally:
        node_2.kubectl("delete", "pod", "by-hand", "-n", namespace, "--ignore-not-found")
        node_2.node_2_exec("apparmor_parser", "--remove", stdin=f"profile {other} {{}}\n")
