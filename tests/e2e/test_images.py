"""The built images keep their promises, tried without a cluster.

The archives are built when they are missing or out of date; a second run takes seconds.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import image_box
from egress import ca
from image_box import Box
from images import build, recipe

UID = 43210
NAMELESS_UID = 99999  # outside of the operator's range: it has no line in /etc/passwd
FORBIDDEN = {
    *("su", "sudo", "runuser", "login", "sg", "newgrp", "setpriv", "chroot"),
    *("mount", "umount", "nsenter", "unshare", "apt-get"),
}

pytestmark = pytest.mark.timeout(900)  # a machine that builds the images for the first time


@pytest.fixture(scope="module")
def boxes() -> Iterator[dict[str, Box]]:
    """Every image, unpacked."""
    with tempfile.TemporaryDirectory(prefix="ringfence-images-") as directory:
        yield {
            name: image_box.unpack(archive, Path(directory) / name)
            for name, archive in _archives().items()
        }


def _archives() -> dict[str, Path]:
    archives = {name: build.build(name) for name in recipe.NAMES}
    return {**archives, "sandbox-e2e": build.build("sandbox", certificate=ca.ca())}


@pytest.mark.parametrize("name", recipe.NAMES)
def test_an_image_holds_nothing_that_raises_privileges_and_no_device(name: str) -> None:
    for entry in image_box.members(build.build(name)):
        assert not entry.mode & 0o6000, f"{entry.name} is setuid or setgid"
        assert not entry.isdev(), f"{entry.name} is a device"
        assert (entry.uid, entry.gid) == (0, 0), f"{entry.name} is not root's"
        assert not any("xattr" in key for key in entry.pax_headers), f"{entry.name} has attributes"
        if not entry.issym() and entry.name != "./tmp":
            assert not entry.mode & 0o002, f"{entry.name} is writable for all"


@pytest.mark.parametrize("name", recipe.NAMES)
def test_an_image_holds_no_program_that_changes_users_or_mounts(name: str) -> None:
    entries = image_box.members(build.build(name))
    programs = {Path(entry.name).name for entry in entries if "bin/" in entry.name}

    assert not programs & FORBIDDEN


@pytest.mark.parametrize("name", recipe.NAMES)
def test_an_image_says_nothing_about_the_machine_that_built_it(name: str) -> None:
    names = {entry.name for entry in image_box.members(build.build(name))}

    assert not names & {"./etc/resolv.conf", "./etc/hostname", "./etc/machine-id"}
    assert not [name for name in names if name.startswith("./etc/apt/sources")]


@pytest.mark.parametrize("name", recipe.NAMES)
@pytest.mark.parametrize("path", [recipe.REPOSITORY, build.CACHE, Path(sys.prefix)])
def test_no_file_of_an_image_holds_a_path_of_the_builder(name: str, path: Path) -> None:
    assert image_box.files_with(build.build(name), f"{path}/".encode()) == []


@pytest.mark.parametrize("uid", [UID, NAMELESS_UID])
@pytest.mark.parametrize(
    "program",
    [
        "python -W error -c 'import pandas, numpy, matplotlib, openpyxl, requests, httpx, yaml'",
        "python -W error -c 'import matplotlib.pyplot as p; p.plot([1, 2]); p.savefig(\"x.png\")'",
        "python -m venv venv && venv/bin/python -c 'import sys'",
        "pip --version",
        "git init -q r && cd r && touch a && git add a && git commit -qm a && git log --oneline",
        "node --version && npm --version && npm ls -g && npx --version",
        "mkdir p && cd p && npm init -y && npm install --offline",
        "curl --version && jq --version && rg --version && ps && tar --version && gzip --version",
    ],
)
def test_what_agents_need_runs_under_any_uid(boxes: dict[str, Box], uid: int, program: str) -> None:
    done = boxes["sandbox"].run(uid, _in_sandbox(program))

    assert done.returncode == 0, done.stdout


def test_the_agent_has_a_name_so_that_node_and_getpass_work(boxes: dict[str, Box]) -> None:
    python = "python -c 'import getpass; print(getpass.getuser())'"
    program = f"whoami; node -p 'os.userInfo().username'; {python}"

    done = boxes["sandbox"].run(UID, _in_sandbox(program))

    assert done.stdout.split() == ["sandbox"] * 3


def test_pip_reads_the_configuration_in_the_home_directory(boxes: dict[str, Box]) -> None:
    done = boxes["sandbox"].run(UID, _in_sandbox("unset PIP_TARGET; pip config list"))

    target = "/work/.local/lib/python3.11/site-packages"
    assert f"global.target='{target}'" in done.stdout.splitlines()
    assert "global.no-cache-dir='true'" in done.stdout.splitlines()


def test_what_npm_installs_globally_is_on_the_path(boxes: dict[str, Box]) -> None:
    program = (
        "mkdir p && cd p && npm init -y >/dev/null && npm pkg set bin.hello=hello.js"
        " && printf '#!/usr/bin/env node\\nconsole.log(42)\\n' >hello.js"
        " && npm install --offline --global . >/dev/null && hello"
    )

    done = boxes["sandbox"].run(UID, _in_sandbox(program))

    assert done.stdout.strip() == "42"


CLIENTS = {
    "pip": "pip download --retries 0 -i https://localhost/ absent 2>&1 | grep 'Skipping page'",
    "requests": "python -c 'import requests as r; print(r.get(\"https://localhost/\").text)'",
    "httpx": "python -c 'import httpx; print(httpx.get(\"https://localhost/\").text)'",
    "urllib": "python -c 'import urllib.request as u; u.urlopen(\"https://localhost/\")'",
    "git": "git ls-remote https://localhost/x",
    "node": "node -e 'fetch(\"https://localhost/\").then(r => r.text())'",
    "npm": "npm ping --fetch-retries=0 --registry https://localhost/",
    "curl": "curl -sS https://localhost/",
}


@pytest.mark.parametrize("client", CLIENTS)
def test_one_bundle_decides_whom_every_client_trusts(
    boxes: dict[str, Box], client: str, tmp_path: Path
) -> None:
    certificate, key = ca.issue(["localhost"], tmp_path)
    endpoint = Path(image_box.__file__).with_name("tls_endpoint.py")
    before = shlex.join([sys.executable, str(endpoint), str(certificate), str(key)])
    program = _in_sandbox(CLIENTS[client])

    trusting = boxes["sandbox-e2e"].run(UID, program, before)
    plain = boxes["sandbox"].run(UID, program, before)

    assert trusting.returncode == 0, trusting.stdout
    assert plain.returncode != 0, plain.stdout


def test_processes_left_behind_are_reaped(boxes: dict[str, Box]) -> None:
    orphans = "for n in 1 2 3 4 5; do (sleep 0.1 &); done; sleep 1; ps -e -o stat="

    done = boxes["sandbox"].run(UID, _entry(boxes["sandbox"], ["sh", "-c", orphans]))

    assert done.returncode == 0, done.stdout
    assert "Z" not in done.stdout


def test_the_sandbox_ends_at_once_on_sigterm(boxes: dict[str, Box]) -> None:
    box = boxes["sandbox"]
    program = _entry(box, box.config["Cmd"])
    with subprocess.Popen(box.argv(UID, program), stdin=subprocess.DEVNULL) as outer:
        first = _first_process(outer.pid)
        begin = time.monotonic()
        os.kill(first, signal.SIGTERM)
        outer.wait(10)

    assert time.monotonic() - begin < 2


def _entry(box: Box, command: list[str]) -> list[str]:
    return [*box.config["Entrypoint"], *command]


def _first_process(outer: int) -> int:
    """The process that is pid 1 of the box, once it has started its command."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for child in _children(outer):
            if Path(f"/proc/{child}/comm").read_text() == "tini\n" and _children(child):
                time.sleep(0.2)  # sandbox-init becomes the command
                return child
        time.sleep(0.05)
    pytest.fail("the sandbox did not start")


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_proxy_image_runs_envoy_as_its_own_user(boxes: dict[str, Box]) -> None:
    box = boxes["proxy"]

    done = box.run(10101, [*box.config["Entrypoint"], "--version"])

    assert "1.40.0" in done.stdout
    assert box.config["User"] == "10101:10101"


LISTEN = "import socket, time; s = socket.create_server(('127.0.0.1', 3128)); time.sleep(90)"
GROUP_1, GROUP_2 = "sys/fs/cgroup/pids/pids.max", "sys/fs/cgroup/pids.max"


def _listen(program: str = LISTEN) -> str:
    return f"{shlex.join([sys.executable, '-c', program])} &"


def _limit(file: str, value: str) -> str:
    """A stand-in for the container's control group, as the node agent leaves it."""
    path = f'"$root/{file}"'
    return (
        'mount -t tmpfs tmpfs "$root/sys"; mkdir -p "$root/sys/fs/cgroup/pids"; '
        f"echo {value} >{path};"
    )


def _wait(boxes: dict[str, Box], before: str, *options: str) -> tuple[int, str, float]:
    """Exit code and words of the hook, and how long it took."""
    begin = time.monotonic()
    done = boxes["proxy"].run(10101, ["/usr/local/bin/wait-for-proxy", *options], before, 120)
    return done.returncode, done.stdout, time.monotonic() - begin


@pytest.mark.parametrize("file", [GROUP_1, GROUP_2])
def test_the_hook_ends_when_the_proxy_listens_and_its_processes_are_limited(
    boxes: dict[str, Box], file: str
) -> None:
    late = f"(sleep 1; exec {_listen()[:-1]}) &"
    code, said, seconds = _wait(boxes, _limit(file, "128") + late)
    assert code == 0, said
    assert 1 <= seconds < 5


def test_the_hook_gives_up_on_a_proxy_that_does_not_listen(boxes: dict[str, Box]) -> None:
    elsewhere = _listen(LISTEN.replace("127.0.0.1", "127.0.0.2"))
    code, said, seconds = _wait(boxes, _limit(GROUP_2, "128") + elsewhere)
    assert code == 1
    assert "nothing listens on port 3128 after 10 s" in said
    assert 9 < seconds < 15


def test_the_hook_ends_on_a_gateway_that_listens_on_every_address(boxes: dict[str, Box]) -> None:
    everywhere = _listen(LISTEN.replace("127.0.0.1", "0.0.0.0"))  # noqa: S104
    code, said, seconds = _wait(boxes, everywhere, "--without-limits")
    assert code == 0, said
    assert seconds < 5


@pytest.mark.parametrize("value", ["max", "", "128x"])
def test_the_hook_waits_for_a_limit_that_comes_late(boxes: dict[str, Box], value: str) -> None:
    late = f'(sleep 3; echo 128 >"$root/{GROUP_2}") &'
    code, said, seconds = _wait(boxes, _limit(GROUP_2, value) + late + _listen())
    assert code == 0, said
    assert 3 <= seconds < 8


def test_the_hook_gives_up_while_nobody_limits_its_processes(boxes: dict[str, Box]) -> None:
    code, said, seconds = _wait(boxes, _limit(GROUP_2, "max") + _listen())
    assert code == 1
    assert said.startswith("NodeAgentNotReady:")
    assert 59 < seconds < 70


def test_the_hook_does_not_ask_for_limits_under_another_runtime(boxes: dict[str, Box]) -> None:
    code, said, seconds = _wait(boxes, _limit(GROUP_2, "max") + _listen(), "--without-limits")
    assert code == 0, said
    assert seconds < 5


def test_the_operator_starts_and_names_what_it_misses(boxes: dict[str, Box]) -> None:
    done = boxes["operator"].run(65532, ["/usr/local/bin/ringfence-operator"])

    assert done.returncode != 0
    assert "RINGFENCE_PROXY_IMAGE" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_operator_compiles_nothing_at_start(boxes: dict[str, Box]) -> None:
    code = """import os, sys, ringfence.main
files = [getattr(module, "__cached__", None) for module in sys.modules.values()]
print([file for file in files if file and not os.path.exists(file)])"""

    done = boxes["operator"].run(65532, ["/usr/bin/python3", "-W", "error", "-c", code])

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["operator", "proxy"])
def test_there_is_no_shell_by_name(boxes: dict[str, Box], name: str) -> None:
    programs = {path.name for path in (boxes[name].root / "usr/bin").iterdir()}

    assert not programs & {"sh", "bash", "dash"}


def test_two_builds_of_the_same_inputs_are_the_same_image(tmp_path: Path) -> None:
    first = build.build("proxy", cache=tmp_path / "first")
    second = build.build("proxy", cache=tmp_path / "second")

    assert image_box.manifest_digest(first) == image_box.manifest_digest(second)


def test_what_is_built_on_debian_depends_on_its_locks_and_the_code_alone(tmp_path: Path) -> None:
    standing = build.build("operator")
    shutil.copytree(
        build.CACHE / "layers",
        tmp_path / "layers",
        ignore=shutil.ignore_patterns("sandbox*", "proxy*", "*-wheels-*", "*-project-*", ".*"),
    )

    again = build.build("operator", cache=tmp_path)

    assert image_box.manifest_digest(again) == image_box.manifest_digest(standing)


def test_an_unchanged_image_is_not_built_again() -> None:
    _archives()

    begin = time.monotonic()
    _archives()

    assert time.monotonic() - begin < 2


def _in_sandbox(program: str) -> list[str]:
    setup = "set -e; cd /work"
    return ["/usr/local/bin/sandbox-init", "bash", "-c", f"{setup}; {program}"]
