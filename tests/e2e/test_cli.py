"""The command line on a real cluster: a Sandbox's life, commands in it, what is shown of it."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import support
from cluster import Cluster, config
from command_line import PROGRAMS, CommandLine, with_sandbox


@pytest.fixture(scope="module")
def cli(ringfence: Cluster) -> Iterator[CommandLine]:
    with with_sandbox(ringfence) as found:
        yield found


@pytest.fixture
def nowhere(ringfence: Cluster) -> Iterator[str]:
    """A class whose Sandboxes no node takes."""
    found = json.loads(ringfence.kubectl("get", "sandboxclass", "standard", "-o", "json"))
    name = "cli-nowhere"
    # Volumes that wait for a node are never made.
    storage = {"storageClassName": config.WAITING_STORAGE_CLASS}
    spec = {"images": found["spec"]["images"], "storage": storage}
    body = support.body("", name, **spec, nodeSelector={"ringfence.dev/no": "node"})
    support.apply(ringfence, body | {"kind": "SandboxClass", "metadata": {"name": name}})
    yield name
    ringfence.kubectl("delete", "sandboxclass", name)


def test_a_sandbox_is_created_used_listed_and_deleted(ringfence: Cluster, namespace: str) -> None:
    cli = CommandLine(ringfence, namespace)
    created = cli.run("create", "mine", "--memory", "256Mi", "--no-network")
    assert created.stdout.decode() == f"Sandbox mine in namespace {namespace} is Ready\n"
    found = support.get(ringfence, "sandbox", namespace, "mine")
    assert found is not None
    assert found["spec"]["resources"] == {"memory": "256Mi"}
    assert found["spec"]["egress"] == {"allow": []}
    assert cli.text("exec", "mine", "--", "echo", "6 * 7") == "6 * 7\n"
    assert cli.text("ls", "-o", "name") == "sandboxes.ringfence.dev/mine\n"
    assert cli.text("delete", "mine") == "Sandbox mine is gone\n"
    assert support.get(ringfence, "sandbox", namespace, "mine") is None
    assert support.get(ringfence, "pod", namespace, "mine") is None


def test_a_file_says_everything(ringfence: Cluster, namespace: str) -> None:
    cli = CommandLine(ringfence, namespace)
    body = support.body(namespace, "of-a-file", restartPolicy="Never", command=["sleep", "60"])
    done = cli.run("create", "-f", "-", "-o", "json", stdin=yaml.safe_dump(body).encode())
    made = json.loads(done.stdout)
    assert made["metadata"]["name"] == "of-a-file"
    assert support.condition(made)["status"] == "True"


def test_a_sandbox_that_cannot_start_is_told_at_once(ringfence: Cluster, namespace: str) -> None:
    cli = CommandLine(ringfence, namespace)
    begun = time.monotonic()
    done = cli.run("create", "big", "--memory", "900Gi")
    assert done.returncode == 1
    assert "ClassCeilingExceeded" in done.stderr.decode()
    assert "kubectl get sandboxclasses" in done.stderr.decode()
    assert time.monotonic() - begun < 30
    assert "ask for less" in cli.text("describe", "big")


def test_interrupted_create_leaves_no_sandbox(
    ringfence: Cluster, namespace: str, nowhere: str
) -> None:
    cli = CommandLine(ringfence, namespace)
    started = cli.start("create", "waits", "--class", nowhere)
    support.wait_for(ringfence, namespace, "waits", "Unschedulable")
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=30)
    assert started.returncode == 130
    assert "Sandbox waits was removed" in said.decode()
    support.poll("no Sandbox", lambda: not support.get(ringfence, "sandbox", namespace, "waits"))


def test_sandbox_that_is_not_ready_in_time_stays_and_says_why(
    ringfence: Cluster, namespace: str, nowhere: str
) -> None:
    cli = CommandLine(ringfence, namespace)
    done = cli.run("create", "waits", "--class", nowhere, "--timeout", "5")
    assert done.returncode == 1
    assert "Sandbox waits is not Ready after 5 s: " in done.stderr.decode()
    assert "free room on a node" in cli.text("describe", "waits")


@pytest.mark.parametrize("code", [0, 1, 3, 42, 125, 255])
def test_exit_code_of_the_command_is_ours(cli: CommandLine, code: int) -> None:
    assert cli.run("exec", "demo", "--", "sh", "-c", f"exit {code}").returncode == code


def test_command_that_does_not_exist_is_127_and_one_that_is_no_program_126(
    cli: CommandLine,
) -> None:
    assert cli.run("exec", "demo", "--", "no-such-program").returncode == 127
    assert cli.run("exec", "demo", "--", "/etc/passwd").returncode == 126


def test_command_that_is_killed_tells_the_signal(cli: CommandLine) -> None:
    assert cli.run("exec", "demo", "--", "sh", "-c", "kill -9 $$").returncode == 137


def test_streams_are_kept_apart_and_every_byte_goes_through(cli: CommandLine) -> None:
    data = bytes(range(256)) * 4096
    done = cli.run("exec", "-i", "demo", "--", "sh", "-c", "tee /dev/stderr", stdin=data)
    assert done.stdout == done.stderr == data


def test_directory_variables_and_words_arrive(cli: CommandLine) -> None:
    script = 'pwd; echo "$A"; printf "%s|" "$@"'
    words = ("--cwd", "/usr", "--env", "A=b c", "--", "sh", "-c", script, "sh", "x y", "*")
    assert cli.text("exec", "demo", *words) == "/usr\nb c\nx y|*|"


def test_closed_pipe_ends_the_command(cli: CommandLine) -> None:
    argv = " ".join(cli.argv("exec", "demo", "--", "yes", "no-more"))
    done = subprocess.run(
        ["sh", "-c", f"{argv} | head -c 100"],
        env=cli.environment,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert len(done.stdout) == 100
    assert cli.processes("demo", "no-more") == []


def test_missing_sandbox_is_125_and_names_the_way_out(cli: CommandLine) -> None:
    done = cli.run("exec", "none", "--", "true")
    assert done.returncode == 125
    assert "`ringfence ls -A`" in done.stderr.decode()
    assert cli.run("describe", "none").returncode == 3
    assert cli.run("delete", "none").returncode == 3
    assert cli.run("delete", "none", "--ignore-not-found").returncode == 0


def test_real_kubectl_finds_the_plugin(cli: CommandLine) -> None:
    argv = ["kubectl", "ringfence", "ls", "-n", cli.namespace]
    done = subprocess.run(argv, env=cli.environment, capture_output=True, text=True, check=True)
    heading, line = done.stdout.splitlines()
    assert heading.split() == ["NAME", "READY", "REASON", "PHASE", "CLASS", "AGE"]
    assert line.split()[:5] == ["demo", "True", "PodReady", "Running", "standard"]
    argv = ["kubectl", "ringfence", "exec", "demo", "-n", cli.namespace, "--", "sh", "-c", "exit 5"]
    assert subprocess.run(argv, env=cli.environment, check=False).returncode == 5


def test_real_kubectl_completes_the_names_of_live_sandboxes(cli: CommandLine) -> None:
    argv = ["kubectl", "__complete", "ringfence", "exec", "-n", cli.namespace, "d"]
    done = subprocess.run(argv, env=cli.environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["demo", ":4"]


def test_bash_completes_with_the_script_that_we_write(cli: CommandLine) -> None:
    script = f"""
source <(ringfence completion bash)
COMP_WORDS=(ringfence describe -n {cli.namespace} d) COMP_CWORD=4
_ringfence_completion ringfence
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "-c", script], env=cli.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "demo"


def test_namespace_is_the_contexts_unless_one_is_named(cli: CommandLine, tmp_path: Path) -> None:
    contents = yaml.safe_load(cli.cluster.kubeconfig.read_text())
    contents["contexts"][0]["context"]["namespace"] = cli.namespace
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(contents))
    environment = {**cli.environment, "KUBECONFIG": f"/none:{path}"}
    argv = [str(PROGRAMS / "ringfence"), "ls", "-o", "name"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "sandboxes.ringfence.dev/demo\n"


def test_describe_shows_every_layer_and_condition(cli: CommandLine) -> None:
    text = cli.text("describe", "demo")
    layers = support.get(cli.cluster, "sandbox", cli.namespace, "demo")
    assert layers is not None
    for name, layer in layers["status"]["isolation"].items():
        line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
        assert layer["state"] in line
        assert layer["message"] in line
    assert "LimitsEnforced" in text
    assert json.loads(cli.text("describe", "demo", "-o", "json"))["metadata"]["name"] == "demo"
    assert yaml.safe_load(cli.text("describe", "demo", "-o", "yaml"))["kind"] == "Sandbox"


def test_logs_of_agent_and_proxy_are_shown_and_followed(ringfence: Cluster, namespace: str) -> None:
    cli = CommandLine(ringfence, namespace)
    script = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.5; done"
    cli.text("create", "talks", "--", "sh", "-c", script)
    assert cli.text("logs", "talks").startswith("line 1\n")
    assert len(cli.text("logs", "talks", "--tail", "1").splitlines()) == 1
    refused = "import urllib.request as r; r.urlopen('https://example.com', timeout=5)"
    assert cli.run("exec", "talks", "--", "python3", "-c", refused).returncode == 1
    support.poll("the refusal", lambda: "example.com" in cli.text("logs", "talks", "proxy"))
    followed = cli.start("logs", "talks", "-f", "--tail", "1")
    assert followed.stdout is not None
    first, second = (int(followed.stdout.readline().split()[1]) for _ in range(2))
    assert second == first + 1
    followed.send_signal(signal.SIGINT)
    followed.communicate(timeout=20)
    assert followed.returncode == 130
