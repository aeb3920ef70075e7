"""The disk of a Sandbox ends where it should, for everything that is written, and hurts nobody."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

import support
from cluster import Cluster, ClusterError, config
from cluster.volumes import disks

pytestmark = pytest.mark.usefixtures("ringfence")

Json = dict[str, Any]
MIB = 2**20
LIMIT = 64
INODES = 4096
"""One for each 16 KiB of the limit."""

HELPERS = """
import errno, json, os
def refused(step, times):
    "What stops `step` from being done that often, and how often it was done."
    for done in range(times):
        try:
            step(done)
        except OSError as error:
            return errno.errorcode[error.errno], done
    return "nothing", times
MIB = os.urandom(2**20)
def write(path, data=MIB):
    with open(path, "ab") as file:
        file.write(data)
def said(*words):
    print(json.dumps(words))
"""
ONE_FILE = "said(*refused(lambda n: write('/work/one'), 128))"
MANY_FILES = 'said(*refused(lambda n: write(f\'/{("work", "tmp")[n % 2]}/{n}\'), 128))'
INODE_EACH = "said(*refused(lambda n: write(f'/{(\"work\", \"tmp\")[n % 2]}/{n}', b''), 8192))"
DELETED = """
kept = []
def step(n):
    file = open('/tmp/x', 'wb', buffering=0)
    os.unlink('/tmp/x')
    kept.append(file)
    assert file.write(MIB) == len(MIB), os.strerror(errno.ENOSPC)
try:
    said(*refused(step, 128))
except AssertionError:
    said('ENOSPC', len(kept))
"""
HOLES = """
file = os.open('/work/holes', os.O_RDWR | os.O_CREAT)
os.truncate(file, 2**40)
said(*refused(lambda n: os.pwrite(file, MIB, n * 2**30) == len(MIB) or 1/0, 128))
"""
RESERVED = """
file = os.open('/work/reserved', os.O_RDWR | os.O_CREAT)
said(*refused(lambda n: os.posix_fallocate(file, 0, (n + 1) * 2**20), 128))
"""


def _run(cluster: Cluster, namespace: str, name: str, program: str) -> Any:
    return json.loads(support.python(cluster, namespace, name, HELPERS + program))


def _small(cluster: Cluster, namespace: str, name: str = "demo", **spec: Any) -> str:
    return support.sandbox(cluster, namespace, name, resources={"disk": f"{LIMIT}Mi"}, **spec)


@pytest.fixture
def make_class(cluster: Cluster) -> Iterator[Any]:
    """Makes a class like the default one but for some fields; its name."""
    made: list[str] = []

    def make(**changes: Any) -> str:
        text = cluster.kubectl("get", "sandboxclass", "standard", "-o", "json")
        name = f"disk-{uuid4().hex[:8]}"
        spec = json.loads(text)["spec"] | changes
        kind = {"apiVersion": "ringfence.dev/v1alpha1", "kind": "SandboxClass"}
        support.apply(cluster, {**kind, "metadata": {"name": name}, "spec": spec})
        made.append(name)
        return name

    yield make
    for name in made:
        cluster.kubectl("delete", "sandboxclass", name)


@pytest.mark.parametrize(
    "program",
    [ONE_FILE, MANY_FILES, DELETED, HOLES, RESERVED],
    ids=["one file", "many files in both", "deleted but open", "file with holes", "reserved"],
)
def test_nothing_is_written_beyond_the_limit(
    cluster: Cluster, namespace: str, program: str
) -> None:
    name = _small(cluster, namespace)
    why, mebibytes = _run(cluster, namespace, name, program)
    assert why == "ENOSPC"
    assert LIMIT * 0.9 < mebibytes <= LIMIT


def test_empty_files_run_out_of_inodes(cluster: Cluster, namespace: str) -> None:
    name = _small(cluster, namespace)
    why, files = _run(cluster, namespace, name, INODE_EACH)
    assert why == "ENOSPC"
    assert INODES * 0.9 < files <= INODES


def test_full_disk_hurts_neither_neighbour_nor_node(cluster: Cluster, namespace: str) -> None:
    full, neighbour = (_small(cluster, namespace, name) for name in ("full", "neighbour"))
    _run(cluster, namespace, full, MANY_FILES)
    assert _run(
        cluster, namespace, neighbour, "said(*refused(lambda n: write('/work/a'), 32))"
    ) == [
        "nothing",
        32,
    ]
    node = json.loads(cluster.kubectl("get", "node", config.NODE_NAME, "-o", "json"))
    found = {c["type"]: c["status"] for c in node["status"]["conditions"]}
    assert (found["Ready"], found["DiskPressure"]) == ("True", "False")
    support.execute(cluster, namespace, full, "sh", "-c", "rm /work/* /tmp/*")
    assert _run(cluster, namespace, full, ONE_FILE)[1] > LIMIT * 0.9


def test_link_from_one_mount_to_the_other_is_refused(cluster: Cluster, namespace: str) -> None:
    """Both are one file system, but no path inside leads from one directory to the other."""
    name = _small(cluster, namespace)
    program = """
write('/work/a')
said(*(refused(lambda n: do('/work/a', '/tmp/a'), 1)[0] for do in (os.link, os.rename)),
     sorted(set(os.listdir('/work') + os.listdir('/tmp')) & {'a', 'lost+found', 'work', 'tmp'}))
"""
    assert _run(cluster, namespace, name, program) == ["EXDEV", "EXDEV", ["a"]]


def test_data_and_limit_survive_a_restart_and_links_lead_nowhere(
    cluster: Cluster, namespace: str
) -> None:
    restartable = "trap 'exit 1' TERM; sleep 3600 & wait"
    name = _small(cluster, namespace, command=["sh", "-c", restartable])
    script = "echo kept | tee /work/a /tmp/a; ln -s / /work/work; ln -s /etc /tmp/tmp; kill 1"
    support.execute(cluster, namespace, name, "sh", "-c", script)

    def restarted() -> bool:
        pod = support.get(cluster, "pod", namespace, name) or {}
        statuses = pod.get("status", {}).get("containerStatuses", [{}])
        return bool(statuses[0].get("restartCount") and statuses[0]["ready"])

    support.poll("restart of the agent", restarted)
    listing = support.execute(cluster, namespace, name, "sh", "-c", "cat /work/a /tmp/a; ls /work")
    assert listing.split() == ["kept", "kept", "a", "work"]
    why, mebibytes = _run(cluster, namespace, name, MANY_FILES)
    assert why == "ENOSPC"
    assert mebibytes <= LIMIT


def test_workspace_is_writable_without_a_user_namespace(
    cluster: Cluster, namespace: str, make_class: Any
) -> None:
    rules = make_class(userNamespaces="Disabled")
    name = _small(cluster, namespace, className=rules)
    assert _run(cluster, namespace, name, MANY_FILES)[0] == "ENOSPC"


def test_status_names_the_claim_that_is_mounted(cluster: Cluster, namespace: str) -> None:
    found = support.get(cluster, "sandbox", namespace, _small(cluster, namespace))
    ready = support.condition(found, "WorkspaceReady")
    assert (ready["status"], ready["reason"]) == ("True", "WorkspaceMounted")
    assert "demo-workspace (64Mi)" in ready["message"]


def _claim(cluster: Cluster, namespace: str, name: str = "demo-workspace") -> Json | None:
    return support.get(cluster, "persistentvolumeclaim", namespace, name)


def _leftovers(cluster: Cluster, volume: str) -> list[str]:
    """What is still there of a volume: its object, its files, its loop device."""
    files = [path.name for path in cluster.paths.volumes.glob(f"{volume}*")]
    found = cluster.kubectl("get", "pv", volume, "--ignore-not-found", "-o", "name").split()
    devices = disks.held(cluster.paths.volumes)
    return found + files + [file for file in devices if volume in file]


def test_deleted_sandbox_leaves_neither_claim_nor_volume_nor_device(
    cluster: Cluster, namespace: str
) -> None:
    name = _small(cluster, namespace)
    claim = _claim(cluster, namespace)
    assert claim is not None
    volume = claim["spec"]["volumeName"]
    assert len(_leftovers(cluster, volume)) == 4
    cluster.kubectl("delete", "sandbox", name, "-n", namespace)
    support.poll("end of the claim", lambda: _claim(cluster, namespace) is None)
    support.poll("end of the volume", lambda: not _leftovers(cluster, volume))


def test_new_pod_begins_with_an_empty_volume(cluster: Cluster, namespace: str) -> None:
    name = _small(cluster, namespace)
    support.execute(cluster, namespace, name, "touch", "/work/old")
    before = _claim(cluster, namespace)
    cluster.kubectl("delete", "pod", name, "-n", namespace)

    def renewed() -> bool:
        now = _claim(cluster, namespace)
        return bool(now and before and now["metadata"]["uid"] != before["metadata"]["uid"])

    support.poll("a new claim", renewed)
    support.wait_ready(cluster, namespace, name)
    assert support.execute(cluster, namespace, name, "ls", "/work") == ""


def test_claim_that_somebody_put_in_the_way_is_not_mounted(
    cluster: Cluster, namespace: str
) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "demo-workspace", "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    support.apply(cluster, claim)
    name = support.create_sandbox(cluster, namespace)

    def refused() -> bool:
        pod = support.get(cluster, "pod", namespace, name)
        return "was not created for" in support.condition(pod, "PodScheduled").get("message", "")

    support.poll("the scheduler's refusal", refused)
    cluster.kubectl("delete", "pvc", "demo-workspace", "-n", namespace)
    support.wait_ready(cluster, namespace, name)


def test_more_disk_than_the_class_permits_is_refused(cluster: Cluster, namespace: str) -> None:
    support.create_sandbox(cluster, namespace, resources={"disk": "6Gi"})
    found = support.wait_for(cluster, namespace, "demo", "ClassCeilingExceeded")
    assert "spec.resources.disk 6Gi is more than 5Gi" in support.condition(found)["message"]
    assert _claim(cluster, namespace) is None


def test_volume_made_for_the_chosen_node_works_too(
    cluster: Cluster, namespace: str, make_class: Any
) -> None:
    rules = make_class(storage={"storageClassName": config.WAITING_STORAGE_CLASS})
    name = _small(cluster, namespace, className=rules)
    assert _run(cluster, namespace, name, ONE_FILE)[0] == "ENOSPC"


def test_soft_storage_runs_without_a_volume_and_says_degraded(
    cluster: Cluster, namespace: str, make_class: Any
) -> None:
    rules = make_class(storage={"mode": "Soft"})
    name = _small(cluster, namespace, className=rules)
    assert _run(cluster, namespace, name, "said(*refused(lambda n: write('/tmp/a'), 1))")[1] == 1
    found = support.get(cluster, "sandbox", namespace, name)
    assert found is not None
    layer = found["status"]["isolation"]["resources"]
    assert (layer["state"], layer["reason"]) == ("Degraded", "SoftLimits")
    assert "evicted" in support.condition(found, "WorkspaceReady")["message"]
    assert _claim(cluster, namespace) is None


@pytest.fixture
def silent_storage_class(cluster: Cluster) -> Iterator[str]:
    """A StorageClass whose provisioner never answers."""
    name = f"silent-{uuid4().hex[:8]}"
    body = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "ringfence.dev/nobody",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    support.apply(cluster, body)
    yield name
    cluster.kubectl("delete", "storageclass", name)


def test_volume_that_does_not_come_is_told_with_the_ways_out(
    cluster: Cluster, namespace: str, make_class: Any, silent_storage_class: str
) -> None:
    causes = {"missing": "no-such-class", "silent": silent_storage_class}
    for name, storage_class in causes.items():
        rules = make_class(storage={"storageClassName": storage_class})
        support.create_sandbox(cluster, namespace, name, className=rules)
    for name, storage_class in causes.items():
        found = support.wait_for(cluster, namespace, name, "WorkspacePending")
        message = support.condition(found, "WorkspaceReady")["message"]
        for text in (f"'{storage_class}'", f"kubectl describe pvc {name}-workspace", "mode: Soft"):
            assert text in message


def test_flood_of_logs_ends_with_the_pod_not_with_the_nodes_disk(
    cluster: Cluster, namespace: str
) -> None:
    """Logs lie on the node's own disk: there the second belt holds, by eviction."""
    program = "import os, time\nfor _ in range(400): os.write(1, b'x' * 1048575 + b'\\n')\n"
    name = support.create_sandbox(
        cluster, namespace, command=["python3", "-c", f"{program}time.sleep(600)"]
    )
    found = support.wait_for(cluster, namespace, name, "PodFailed", seconds=100)
    assert "Evicted" in support.condition(found)["message"]
    with pytest.raises(ClusterError):
        support.execute(cluster, namespace, name, "true")
