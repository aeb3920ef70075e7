"""The virtual machine of node 2 starts from what it is given and leaves it as it was."""

from __future__ import annotations

import io
import shlex
import subprocess
import tarfile
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from cluster import config, node_config, vm

DISKS = vm.Disks(Path("/k"), Path("/root.ext4"), Path("/store.ext4"), Path("/settings.tar"))
LOGS = Path("/logs")
TEXTS = {"kubelet.kubeconfig": "of node 2", "host_key": "a key", "client_key.pub": "another"}
SCRIPTS = config.SOURCES / "data" / "node-2"


def options(name: str) -> list[str]:
    argv = vm.argv(DISKS, LOGS)
    return [value for option, value in pairwise(argv) if option == name]


def settings() -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(vm.settings(TEXTS))) as tar:
        files = {entry.name: tar.extractfile(entry) for entry in tar}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def test_no_disk_is_ever_written_to() -> None:
    drives = options("-drive")
    assert [drive.split(",")[1] for drive in drives] == [
        "file=/root.ext4",
        "file=/settings.tar",
        "file=/store.ext4",
    ]
    assert all("snapshot=on" in drive.split(",") for drive in drives)


def test_machine_ends_when_its_kernel_panics() -> None:
    assert "-no-reboot" in vm.argv(DISKS, LOGS)
    assert "panic=-1" in options("-append")[0].split()


def test_kernel_enables_apparmor_and_hands_the_first_program_one_script() -> None:
    kernel, first = options("-append")[0].split(" -- ")
    assert "apparmor=1" in kernel.split()
    assert "apparmor" in kernel.partition("lsm=")[2].split()[0].split(",")
    flag, script = shlex.split(first)
    assert flag == "-c"
    assert script.endswith("exec /etc/ringfence/init")
    assert '"' not in script  # the kernel knows no way to escape one
    assert len(options("-append")[0]) < 2048  # longer ones are cut


def test_each_daemon_has_a_log_on_the_host() -> None:
    ports = [device for device in options("-device") if device.startswith("virtserialport")]
    names = [port.rpartition("name=")[2] for port in ports]
    assert names == ["sshd", "containerd", "kubelet", "kube-proxy", "kube-router"]
    for name in names:
        assert f"file,id={name},path=/logs/node-2-{name}.log" in options("-chardev")


def test_every_daemon_that_is_started_has_a_command_line() -> None:
    files = settings()
    started = SCRIPTS.joinpath("init").read_text()
    for daemon in vm.daemons():
        assert files[f"etc/ringfence/daemons/{daemon.name}"].startswith(f"exec {daemon.argv[0]} ")
        assert daemon.name in started or daemon.name == "kube-router"  # that one: by the host


def test_settings_hold_what_differs_by_cluster_and_the_key_that_may_log_in() -> None:
    files = settings()
    assert files["etc/ringfence/kubelet.kubeconfig"] == "of node 2"
    assert files["root/.ssh/authorized_keys"] == "another"
    assert f"ADDRESS={config.NODE_2_ADDRESS}/24\n" in files["etc/ringfence/settings"]


def test_only_root_can_read_the_settings() -> None:
    with tarfile.open(fileobj=io.BytesIO(vm.settings(TEXTS))) as tar:
        assert {entry.mode for entry in tar} == {0o700}


@pytest.mark.parametrize("script", ["node-2/init", "node-2/start", "fill-store.sh"])
def test_scripts_are_free_of_syntax_errors(script: str) -> None:
    subprocess.run(["bash", "-n", SCRIPTS.parent / script], check=True)


def test_node_object_names_the_range_its_cni_hands_out_and_the_taint() -> None:
    node = yaml.safe_load((SCRIPTS / "node.yaml").read_text())
    assert node["spec"]["podCIDR"] == node_config.NODE_2.pod_cidr
    assert node["metadata"]["labels"][config.NODE_2_KEY] == config.NODE_2_NAME
    (taint,) = node["spec"]["taints"]
    assert taint == {"key": config.NODE_2_KEY, "value": config.NODE_2_NAME, "effect": "NoSchedule"}


def test_nodes_differ_in_name_address_range_and_cgroup_only() -> None:
    one, two = (
        "\n".join(word for component in node_config.components(node) for word in component.argv)
        for node in (node_config.NODE_1, node_config.NODE_2)
    )
    first = node_config.NODE_1
    second = node_config.NODE_2
    assert one.replace(first.name, second.name).replace(first.address, second.address) == two
    kubelet = yaml.safe_load(node_config.files(second)["kubelet.yaml"])
    assert (kubelet["address"], kubelet["cgroupRoot"]) == (config.NODE_2_ADDRESS, "/")
