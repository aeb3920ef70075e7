"""Node 2 is a node like the other, with AppArmor and cgroup v2, and leaves nothing when it goes.

What it is needed for: no defence that rests on AppArmor or on cgroup v2 can be tested on node 1.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cluster import Cluster, config
from cluster.shell import in_netns, run, wait_until
from pods import DENY_ALL, PORT, fresh_namespace, pod, reaches, serving, sh, start
from support import poll

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.node2

SECONDS = 240  # for a Pod to be Ready, on a busy machine
REACH_SECONDS = 5


def on_node_2(name: str, **changes: Any) -> dict[str, Any]:
    """A Pod that asks for node 2."""
    toleration = {"key": config.NODE_2_KEY, "operator": "Exists"}
    selector = {config.NODE_2_KEY: config.NODE_2_NAME}
    return pod(name, nodeSelector=selector, tolerations=[toleration], **changes)


def node(cluster: Cluster) -> dict[str, Any]:
    """The Node object."""
    found: dict[str, Any] = json.loads(
        cluster.kubectl("get", "node", config.NODE_2_NAME, "-o", "json")
    )
    return found


@pytest.fixture(scope="module")
def one(node_2: Cluster) -> Iterator[str]:
    """A namespace with Pod `one` on node 2; one for all tests, for each would take seconds."""
    limited = on_node_2("one")
    limited["spec"]["containers"][0]["resources"] = {"limits": {"memory": "64Mi", "cpu": "500m"}}
    with fresh_namespace(node_2) as namespace:
        start(node_2, namespace, limited, seconds=SECONDS)
        yield namespace


def test_node_2_is_ready_and_only_for_those_who_ask(node_2: Cluster) -> None:
    found = node(node_2)
    conditions = {one["type"]: one["status"] for one in found["status"]["conditions"]}
    assert conditions["Ready"] == "True"
    assert found["metadata"]["labels"][config.NODE_2_KEY] == config.NODE_2_NAME
    (taint,) = found["spec"]["taints"]
    assert taint == {"key": config.NODE_2_KEY, "value": config.NODE_2_NAME, "effect": "NoSchedule"}


def test_starting_it_again_is_quick_and_changes_nothing(node_2: Cluster) -> None:
    before = node_2.node_2_exec("cat", "/proc/sys/kernel/random/boot_id").stdout
    assert not node_2.start_node_2()
    assert node_2.node_2_exec("cat", "/proc/sys/kernel/random/boot_id").stdout == before


def test_programs_on_node_2_get_exactly_their_words_and_their_input(node_2: Cluster) -> None:
    words = ("a b", "$HOME", "';'", "\\")
    script = 'cat; printf "%s|" "$@"'
    done = node_2.node_2_exec("sh", "-c", script, "sh", *words, stdin="input\n")
    assert done.stdout == "input\n" + "".join(f"{word}|" for word in words)
    assert node_2.node_2_exec("false", check=False).returncode == 1


def test_node_2_has_the_images_of_node_1(node_2: Cluster) -> None:
    loaded = set(node_2.node_exec("ctr", "-n", "k8s.io", "images", "list", "-q").stdout.split())
    there = set(node_2.node_2_exec("ctr", "-n", "k8s.io", "images", "list", "-q").stdout.split())
    assert {name for name in loaded - there if not name.startswith("sha256:")} == {
        config.COREDNS_IMAGE
    }


def test_pod_is_confined_by_apparmor(node_2: Cluster, one: str) -> None:
    assert sh(node_2, one, "cat /proc/self/attr/current") == "cri-containerd.apparmor.d (enforce)\n"


def test_pod_sees_its_limits_in_cgroup_v2(node_2: Cluster, one: str) -> None:
    assert sh(node_2, one, "cat /proc/self/cgroup") == "0::/\n"
    files = "cd /sys/fs/cgroup; cat memory.max cpu.max"
    assert sh(node_2, one, files).split() == ["67108864", "50000", "100000"]


def test_pod_that_names_a_profile_nobody_loaded_does_not_start(
    node_2: Cluster, namespace: str
) -> None:
    profile = {"type": "Localhost", "localhostProfile": "nobody-loaded-it"}
    body = on_node_2("one", security={"appArmorProfile": profile})
    node_2.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(body))

    def refusal() -> str:
        path = "jsonpath={.status.containerStatuses[0].state.waiting.message}"
        return node_2.kubectl("get", "pod", "one", "-n", namespace, "-o", path)

    message = poll("the refusal", refusal, SECONDS)
    assert "apparmor profile not found nobody-loaded-it" in message


@pytest.fixture
def two(node_2: Cluster, one: str) -> str:
    """The address of a web server beside Pod `one`, on node 1."""
    server = pod("two")
    server["spec"]["containers"][0]["command"] = ["httpd", "-f", "-p", str(PORT), "-h", "/bin"]
    start(node_2, one, server)
    address = node_2.kubectl("get", "pod", "-n", one, "two", "-o", "jsonpath={.status.podIP}")
    return f"http://{address}:{PORT}/busybox"


@pytest.fixture
def world(node_2: Cluster) -> Iterator[str]:
    """A web server in the stand-in internet."""
    with serving(node_2.world_argv(), config.WORLD_ROUTER) as url:
        yield url


def test_network_policy_closes_node_1_and_the_world_to_a_pod_on_node_2(
    node_2: Cluster, one: str, two: str, world: str
) -> None:
    def reached() -> list[bool]:
        return [reaches(node_2, one, url, REACH_SECONDS) for url in (two, world)]

    # Only of Pod `one` and only outwards: nothing but node 2 can enforce that.
    label = ("label", "pod", "one", "-n", one, "closed=yes")
    closed = DENY_ALL | {
        "spec": {"podSelector": {"matchLabels": {"closed": "yes"}}, "policyTypes": ["Egress"]}
    }
    assert reached() == [True, True]
    node_2.kubectl("apply", "-n", one, "-f", "-", input=json.dumps(closed))
    node_2.kubectl(*label)
    wait_until("closed", lambda: reached() == [False, False], SECONDS)
    node_2.kubectl(*label[:-1], "closed-")
    wait_until("open", lambda: reached() == [True, True], SECONDS)


def test_pod_on_node_2_reaches_services(node_2: Cluster, one: str) -> None:
    answer = sh(node_2, one, "nslookup kubernetes.default.svc.cluster.local")
    assert config.API_SERVICE_ADDRESS in answer


def leftovers(cluster: Cluster) -> list[str]:
    """What of node 2 is there: processes, its link, its files, its Node and Pods."""
    tap = in_netns(config.CONTROL_NETNS, "ip", "link", "show", config.NODE_2_TAP)
    of_node_2 = f"--field-selector=spec.nodeName={config.NODE_2_NAME}"
    places = [cluster.paths.node_2, *cluster.paths.disks.glob(".scratch-*")]
    return [
        *mentioning(str(cluster.paths.node_2), run("ps", "-ww", "-eo", "pid,args").stdout),
        *run(*tap, check=False).stdout.splitlines(),
        *(str(path) for path in places if path.exists()),
        *cluster.kubectl("get", "pods", "-A", of_node_2, "-o", "name").split(),
        *mentioning(config.NODE_2_NAME, cluster.kubectl("get", "nodes", "-o", "name")),
    ]


def mentioning(word: str, text: str) -> list[str]:
    """The lines that hold a word."""
    return [line for line in text.splitlines() if word in line]


@pytest.mark.node2(stops_it=True)
@pytest.mark.usefixtures("one")
def test_nothing_is_left_of_a_node_2_that_was_stopped(node_2: Cluster) -> None:
    assert leftovers(node_2) != []
    node_2.stop_node_2()
    assert leftovers(node_2) == []
    assert node_2.running()


@pytest.mark.node2(stops_it=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_an_interrupted_start(node_2: Cluster, number: signal.Signals) -> None:
    node_2.stop_node_2()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(
        [sys.executable, "-m", "cluster", config.NODE_2_NAME, "up"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as starting:
        machine = node_2.paths.pids / f"{config.NODE_2_NAME}.pid"
        wait_until("the machine", machine.exists, 60)
        assert leftovers(node_2) != []
        starting.send_signal(number)
        assert starting.wait(60) == 130
    assert leftovers(node_2) == []
