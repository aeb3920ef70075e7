"""pip installs from the stand-in package index through the egress proxy, and from nowhere else."""

import base64
import hashlib
import os
import socket
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from cluster import processes
from egress import ca, daemon, netns, proxy, servers
from egress.wheels import download_wheels
from ringfence.allowlist import default_hosts
from ringfence.api import EgressRule

PROXY = "http://127.0.0.1:3128"


def make_wheel(directory: Path, name: str, *requires: str) -> Path:
    """Write a minimal valid wheel of version 1.0 with one module that says its name."""
    info = f"{name}-1.0.dist-info"
    needs = "".join(f"Requires-Dist: {other}\n" for other in requires)
    files = {
        f"{name}.py": f"NAME = {name!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {
        path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for path, text in files.items()
    }
    record = "".join(f"{path},sha256={hashes[path]},{len(files[path])}\n" for path in files)
    wheel = directory / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(path, text)
    return wheel


@dataclass
class World:
    """A namespace with the index, a DNS server and the proxy with the default allowlist."""

    netns: str
    wheels: Path
    state: Path
    index: daemon.IndexProcess

    def pip(self, host: str, *packages: str, target: Path) -> CompletedProcess[str]:
        """Run an unmodified pip against an index host."""
        options = ["--no-cache-dir", "--disable-pip-version-check", "--retries", "1"]
        where = ["--index-url", f"https://{host}/simple/", "--target", str(target)]
        command = [sys.executable, "-m", "pip", "install", *options, *where, *packages]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(target),
            "HTTPS_PROXY": PROXY,
            "PIP_CERT": str(ca.ca()),
        }
        return netns.run(self.netns, command, environment)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("index")
    wheels, state = directory / "wheels", directory / "state"
    wheels.mkdir()
    make_wheel(wheels, "rf_demo", "rf-helper>=1")
    make_wheel(wheels, "rf_helper")
    zone = {host: [daemon.ADDRESS] for host in (*default_hosts(), "index.example.test")}
    rules = [EgressRule(host=host) for host in default_hosts()]
    with ExitStack() as stack:
        name = stack.enter_context(
            netns.namespace(f"rf-index-{os.getpid()}", [f"{daemon.ADDRESS}/32"])
        )
        stack.enter_context(servers.dns(name, zone))
        index = stack.enter_context(daemon.running(name, wheels=wheels, state=state))
        stack.enter_context(proxy.running(name, directory, rules))
        yield World(name, wheels, state, index)


def test_pip_installs_a_wheel_with_its_dependency_through_the_proxy(
    world: World, tmp_path: Path
) -> None:
    result = world.pip(default_hosts()[0], "rf-demo", target=tmp_path)
    assert result.returncode == 0, result.stderr
    assert {"rf_demo.py", "rf_helper.py"} <= {path.name for path in tmp_path.iterdir()}
    asked = {
        (entry["host"], entry["status"]) for entry in world.index.requests() if "host" in entry
    }
    assert asked == {(host, 200) for host in default_hosts()}


def test_pip_refuses_a_wheel_that_is_not_what_the_index_page_promised(
    world: World, tmp_path: Path
) -> None:
    wheel = make_wheel(world.wheels, "rf_changed")
    page = world.pip(default_hosts()[0], "rf-changed==1.0", "--dry-run", target=tmp_path / "dry")
    assert page.returncode == 0, page.stderr
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    pinned = tmp_path / "requirements.txt"
    pinned.write_text(f"rf-changed==1.0 --hash=sha256:{digest}\n")
    wheel.unlink()
    make_wheel(world.wheels, "rf_changed", "rf-helper")
    result = world.pip(default_hosts()[0], "-r", str(pinned), target=tmp_path / "out")
    assert result.returncode != 0
    assert "DO NOT MATCH THE HASHES" in result.stderr


def test_pip_is_refused_a_host_that_is_not_listed_at_once(world: World, tmp_path: Path) -> None:
    before, start = len(world.index.requests()), time.monotonic()
    result = world.pip("index.example.test", "rf-demo", target=tmp_path)
    assert time.monotonic() - start < 5
    assert result.returncode != 0
    assert "403 Not on this Sandbox's egress allowlist (spec.egress.allow)" in result.stderr
    assert len(world.index.requests()) == before


def test_an_unknown_project_is_not_found(world: World, tmp_path: Path) -> None:
    result = world.pip(default_hosts()[0], "rf-nothing", target=tmp_path)
    assert result.returncode != 0
    assert "No matching distribution" in result.stderr
    last = world.index.requests()[-1]
    assert (last["path"], last["status"]) == ("/simple/rf-nothing/", 404)


def test_a_client_that_never_shakes_hands_does_not_block_the_others(
    world: World, tmp_path: Path
) -> None:
    with netns.inside(world.netns):
        silent = socket.create_connection((daemon.ADDRESS, daemon.PORT))
    with silent:
        assert world.pip(default_hosts()[0], "rf-helper", target=tmp_path).returncode == 0


def test_starting_again_replaces_the_running_index_and_stopping_twice_is_fine(
    tmp_path: Path,
) -> None:
    with netns.namespace(f"rf-again-{os.getpid()}", [f"{daemon.ADDRESS}/32"]) as name:
        first = daemon.start(name, wheels=tmp_path, state=tmp_path / "state")
        second = daemon.start(name, wheels=tmp_path, state=tmp_path / "state")
        assert first.pid != second.pid
        daemon.stop(tmp_path / "state")
        daemon.stop(tmp_path / "state")
        with netns.inside(name), pytest.raises(ConnectionRefusedError):
            socket.create_connection((daemon.ADDRESS, daemon.PORT))


def test_index_is_found_and_ended_by_who_removes_the_namespace(tmp_path: Path) -> None:
    with netns.namespace(f"rf-whole-{os.getpid()}", [f"{daemon.ADDRESS}/32"]) as name:
        index = daemon.start(name, wheels=tmp_path, state=tmp_path / "state")
        found = processes.in_namespace(netns.RUN_NETNS / name)
        assert [one.pid for one in found] == [index.pid]
        processes.kill(found)


def test_an_index_that_cannot_start_says_why(tmp_path: Path) -> None:
    with (
        netns.namespace(f"rf-bare-{os.getpid()}", []) as name,
        pytest.raises(RuntimeError, match=r"does not answer on 203\.0\.113\.10:443"),
    ):
        daemon.start(name, wheels=tmp_path, state=tmp_path / "state")


def test_real_wheels_are_downloaded_with_their_dependencies_and_only_once(tmp_path: Path) -> None:
    download_wheels(["python-dateutil==2.9.0.post0"], directory=tmp_path)
    names = {path.name.split("-")[0] for path in tmp_path.glob("*.whl")}
    assert names == {"python_dateutil", "six"}
    start = time.monotonic()
    download_wheels(["python-dateutil==2.9.0.post0"], directory=tmp_path)
    assert time.monotonic() - start < 0.1
    assert not list(tmp_path.glob(".download-*"))
