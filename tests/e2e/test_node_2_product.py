"""The product on a node with AppArmor and cgroup v2: the same images, the same chart, one class.

What only AppArmor stops is tried twice: under the profile, where all of it is refused, and in a
copy of the Pod without it, where all of it works. The machine is slow, so Pods are shared.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import attack_table
import demo
import product
import support
from attacked import attack, copy, only, start
from cluster import config
from images import recipe
from pods import fresh_namespace
from ringfence.attack.rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster import Cluster

pytestmark = [
    pytest.mark.node2,
    pytest.mark.usefixtures("ringfence"),
    pytest.mark.timeout(600),
]

Json = dict[str, Any]
CLASS = "node-2"
SECONDS = 240
WRITE_RATE = 20 * 2**20
APP_ARMOR_ROWS = [row.name for row in ROWS if row.needs_app_armor]
BAIT_DIRECTORIES = (
    *("/app", "/skills", "/var/lib/aiagent", "/etc/kubernetes", "/etc/sudoers.d"),
    *("/run/containerd", "/run/docker", "/var/lib/kubelet", "/home/sandbox/.ssh"),
)
BAIT_FILES = ("/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/run/docker.sock")
TRY = """
import json, os, shutil, subprocess
def attempt(work):
    try:
        work()
        return "allowed"
    except PermissionError:
        return "refused"
def create(place):
    os.close(os.open(os.path.join(place, "x"), os.O_CREAT | os.O_WRONLY))
def run(place):
    path = os.path.join(place, "program")
    shutil.copyfile("/bin/true", path)
    os.chmod(path, 0o700)
    subprocess.run([path], check=True)
found = {place: attempt(lambda: create(place)) for place in %r}
found |= {place: attempt(lambda: open(place).close()) for place in %r}
found["run from /tmp"] = attempt(lambda: run("/tmp"))
found["run from /dev/shm"] = attempt(lambda: run("/dev/shm"))
found["/proc/1/environ"] = attempt(lambda: open("/proc/1/environ").close())
found["mount --version"] = attempt(lambda: subprocess.run(["mount", "--version"], check=True))
found["su --version"] = attempt(lambda: subprocess.run(["su", "--version"], check=True))
print(json.dumps(found))
""" % (BAIT_DIRECTORIES, BAIT_FILES)  # noqa: UP031 - braces are Python's
FREE = """
import json, os, subprocess
for place in ("/work", "/tmp", "/dev/shm"):
    with open(os.path.join(place, "x"), "w") as file:
        file.write("x")
subprocess.run(["sh", "-c", "cp /bin/true /work/program && /work/program"], check=True)
print(open("/proc/self/attr/current").read().strip())
"""


def sandbox_class() -> Json:
    """Sandboxes for node 2: it has no volumes of its own, so the disk is soft there."""
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "SandboxClass",
        "metadata": {"name": CLASS},
        "spec": {
            "images": {"default": _sandbox_image()},
            "appArmor": {"mode": "Required"},
            "storage": {"mode": "Soft"},
            "io": {"writeBytesPerSecond": str(WRITE_RATE)},
            "nodeSelector": {config.NODE_2_KEY: config.NODE_2_NAME},
            "tolerations": [{"key": config.NODE_2_KEY, "operator": "Exists"}],
        },
    }


def _sandbox_image() -> str:
    return f"ringfence.dev/sandbox:{recipe.version()}-e2e"


@pytest.fixture(scope="module")
def namespace_2(node_2: Cluster) -> Iterator[str]:
    """A namespace with the Sandbox `demo` on node 2."""
    support.apply(node_2, sandbox_class())
    with fresh_namespace(node_2) as namespace:
        support.create_sandbox(node_2, namespace, className=CLASS)
        support.wait_ready(node_2, namespace, "demo", SECONDS)
        yield namespace
    node_2.kubectl("delete", "sandboxclass", CLASS)


@pytest.fixture(scope="module")
def open_namespace_2(node_2: Cluster, namespace_2: str) -> Iterator[Json]:
    """The Pod of that Sandbox, to be copied in a namespace without Pod Security."""
    pod = support.get(node_2, "pod", namespace_2, "demo")
    assert pod
    node_2.kubectl("label", "ns", namespace_2, "pod-security.kubernetes.io/enforce-")
    yield pod
    label = "pod-security.kubernetes.io/enforce=restricted"
    node_2.kubectl("label", "ns", namespace_2, label)


def layers(cluster: Cluster, namespace: str) -> dict[str, Json]:
    body = support.get(cluster, "sandbox", namespace, "demo")
    assert body
    found: dict[str, Json] = body["status"]["isolation"]
    return found


def test_every_layer_is_enforced_and_read_back(node_2: Cluster, namespace_2: str) -> None:
    found = layers(node_2, namespace_2)
    states = {name: layer["state"] for name, layer in found.items()}
    enforced = ("process", "namespaces", "seccomp", "appArmor", "network")
    assert states == {
        **dict.fromkeys(enforced, "Enforced"),
        "resources": "Degraded",
        "audit": "NotAvailable",
    }, json.dumps(found, indent=1)
    assert found["appArmor"]["message"].endswith(" enforce")
    assert found["resources"]["reason"] == "SoftLimits"


def test_limits_of_processes_and_of_io_are_in_force_in_cgroup_v2(
    node_2: Cluster, namespace_2: str
) -> None:
    text = node_2.kubectl("get", "sandboxnode", config.NODE_2_NAME, "-o", "json")
    assert json.loads(text)["status"]["cgroupVersion"] == 2
    message = layers(node_2, namespace_2)["resources"]["message"]
    assert "pids 256 (container cgroup)" in message
    assert f"write bytes {WRITE_RATE}/s" in message


def test_field_and_annotation_name_the_same_profile(node_2: Cluster, namespace_2: str) -> None:
    pod = support.get(node_2, "pod", namespace_2, "demo")
    assert pod
    prefix = "container.apparmor.security.beta.kubernetes.io/"
    annotations = pod["metadata"]["annotations"]
    fields = {
        c["name"]: c["securityContext"]["appArmorProfile"]
        for c in (*pod["spec"]["initContainers"], *pod["spec"]["containers"])
    }
    profile = fields["agent"]["localhostProfile"]
    assert annotations[f"{prefix}agent"] == f"localhost/{profile}"
    for name in ("egress-proxy", "guard"):
        assert fields[name] == {"type": "RuntimeDefault"}
        assert annotations[f"{prefix}{name}"] == "runtime/default"


def test_agent_works_in_its_own_places(node_2: Cluster, namespace_2: str) -> None:
    said = support.python(node_2, namespace_2, "demo", FREE)
    assert said.strip().endswith("(enforce)")


def test_sample_job_runs_under_apparmor(node_2: Cluster, namespace_2: str) -> None:
    install = ("pip", "install", "--quiet", "--timeout", "120", "seaborn")
    support.execute(node_2, namespace_2, "demo", *install)
    assert "drawn by seaborn" in support.python(node_2, namespace_2, "demo", demo.JOB)


# --- With AppArmor and without --------------------------------------------------------------------


def confined(_pod: Json) -> None:
    """The Pod as the operator built it."""


def unconfined(pod: Json) -> None:
    for container in (*pod["spec"]["initContainers"], *pod["spec"]["containers"]):
        container["securityContext"]["appArmorProfile"] = {"type": "Unconfined"}
    pod["metadata"]["annotations"] = {}


def baited(pod: Json) -> None:
    """What the profile protects is there, and the agent's own uid may have it."""
    spec = pod["spec"]
    mounts = spec["containers"][0]["volumeMounts"]
    for number, place in enumerate(BAIT_DIRECTORIES):
        spec["volumes"].append({"name": f"bait-{number}", "emptyDir": {"sizeLimit": "1Mi"}})
        mounts.append({"name": f"bait-{number}", "mountPath": place})
    spec["volumes"].append({"name": "file", "configMap": {"name": "bait", "defaultMode": 0o444}})
    for place in BAIT_FILES:
        mounts.append({"name": "file", "mountPath": place, "subPath": "secret"})


@pytest.fixture(scope="module", params=[confined, unconfined], ids=["confined", "unconfined"])
def bait(
    request: pytest.FixtureRequest, node_2: Cluster, open_namespace_2: Json, namespace_2: str
) -> Iterator[str]:
    """A copy of the Pod with bait, under the profile or not; its name."""
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "bait", "namespace": namespace_2},
        "data": {"secret": "x"},
    }
    support.apply(node_2, config_map)
    name: str = request.param.__name__
    pod = copy(open_namespace_2, name, request.param)
    pod["spec"]["tolerations"] = open_namespace_2["spec"]["tolerations"]
    baited(pod)
    start(node_2, pod, seconds=SECONDS)
    yield name
    node_2.kubectl("delete", "pod", "-n", namespace_2, name, "--wait=false")


def test_what_the_profile_protects_is_refused_under_it_and_only_then(
    node_2: Cluster, namespace_2: str, bait: str
) -> None:
    found = json.loads(support.python(node_2, namespace_2, bait, TRY))
    expected = "refused" if bait == "confined" else "allowed"
    assert found == dict.fromkeys(found, expected)
    assert len(found) == len(BAIT_DIRECTORIES) + len(BAIT_FILES) + 5


def test_rows_of_the_attack_table_hold_under_the_profile_and_only_then(
    node_2: Cluster, namespace_2: str, bait: str
) -> None:
    with attack_table.open_world(node_2):
        run = attack(node_2, namespace_2, "--pod", bait, *only(APP_ARMOR_ROWS))
    assert set(run.statuses) >= set(APP_ARMOR_ROWS)
    failed = run.failed & set(APP_ARMOR_ROWS)
    assert failed == (set() if bait == "confined" else set(APP_ARMOR_ROWS)), run.document


def test_profile_in_complain_mode_is_noticed_and_enforced_again(
    node_2: Cluster, namespace_2: str
) -> None:
    pod = support.get(node_2, "pod", namespace_2, "demo")
    assert pod
    name = pod["spec"]["containers"][0]["securityContext"]["appArmorProfile"]["localhostProfile"]
    text = (product.REPOSITORY / "profiles" / "apparmor" / "sandbox-agent").read_text()
    lax = text.replace("mediate_deleted)", "mediate_deleted,complain)")
    assert lax != text
    node_2.node_2_exec("apparmor_parser", "--replace", stdin=lax)
    loaded = "/sys/kernel/security/apparmor/profiles"

    def enforced() -> bool:
        return f"{name} (enforce)" in node_2.node_2_exec("cat", loaded).stdout

    support.poll("the profile to be enforced again", enforced, 60)
