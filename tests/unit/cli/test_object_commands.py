"""create, ls, describe, cp, logs, delete and completion as a user meets them."""

import asyncio
import json
import signal
import threading
import time
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from cli.conftest import Line
from local_cluster import sandbox
from ringfence.cli import main, views
from ringfence.cli.completion import for_kubectl


def become(line: Line, name: str, condition: dict[str, str]) -> threading.Thread:
    """The operator: says something about a Sandbox as soon as it is there."""

    def work() -> None:
        key = ("sandboxes", "agents", name)
        while key not in line.cluster.api.objects:
            time.sleep(0.02)
        obj = line.cluster.api.objects[key]
        line.cluster.api.put("sandboxes", obj | {"status": {"conditions": [condition]}})

    thread = threading.Thread(target=work)
    thread.start()
    return thread


READY = {"type": "Ready", "status": "True", "reason": "PodReady", "message": "runs"}
UNFIT = {"type": "Ready", "status": "False", "reason": "InvalidSpec", "message": "bad \x1b[31m"}


def test_create_waits_and_says_so(line: Line) -> None:
    thread = become(line, "mine", READY)
    done = line.invoke("create", "mine", "--memory", "1Gi", "--allow", "a.example:443")
    thread.join()
    assert (done.exit_code, done.stdout) == (0, "Sandbox mine in namespace agents is Ready\n")
    made = line.cluster.api.objects["sandboxes", "agents", "mine"]
    assert made["spec"] == {
        "resources": {"memory": "1Gi"},
        "egress": {"allow": [{"host": "a.example", "ports": [443]}]},
    }


def test_create_without_waiting_prints_what_was_made(line: Line) -> None:
    done = line.invoke("create", "--no-wait", "-o", "json")
    name = json.loads(done.stdout)["metadata"]["name"]
    assert ("sandboxes", "agents", name) in line.cluster.api.objects
    assert line.invoke("create", "x", "--no-wait", "-o", "name").stdout == "x\n"
    assert yaml.safe_load(line.invoke("create", "y", "--no-wait", "-o", "yaml").stdout)["kind"]


def test_create_that_is_hopeless_is_1_and_leaves_it_for_describe(line: Line) -> None:
    thread = become(line, "bad", UNFIT)
    done = line.invoke("create", "bad")
    thread.join()
    assert done.exit_code == 1
    assert "InvalidSpec: bad  [31m (correct the field" in done.stderr
    assert "correct the field" in line.invoke("describe", "bad").stdout


def test_interrupted_create_leaves_nothing(line: Line) -> None:
    process = line.start("create", "waits")
    while line.cluster.api.counts["GET sandboxes"] < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Sandbox waits was removed" in said
    assert ("sandboxes", "agents", "waits") not in line.cluster.api.objects


def test_create_that_is_interrupted_before_the_answer_leaves_nothing(line: Line) -> None:
    asked = threading.Event()

    async def hold(request: web.Request) -> None:
        if request.method == "POST":
            asked.set()
            await asyncio.sleep(0.5)

    line.cluster.api.hold = hold
    process = line.start("create", "waits")
    assert asked.wait(20)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    time.sleep(1)
    assert ("sandboxes", "agents", "waits") not in line.cluster.api.objects


def test_interrupted_create_leaves_another_of_that_name_alone(line: Line) -> None:
    asked = threading.Event()

    async def hold(request: web.Request) -> None:
        if request.method == "POST":
            asked.set()
            await asyncio.sleep(0.5)

    line.cluster.api.hold = hold
    process = line.start("create", "demo")
    assert asked.wait(20)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert ("sandboxes", "agents", "demo") in line.cluster.api.objects


def test_create_from_a_file_takes_what_it_says(line: Line, tmp_path: Path) -> None:
    path = tmp_path / "sandbox.yaml"
    body = sandbox("of-a-file") | {"spec": {"pids": 7}}
    path.write_text(yaml.safe_dump(body))
    assert line.invoke("create", "-f", str(path), "--no-wait").exit_code == 0
    assert line.cluster.api.objects["sandboxes", "agents", "of-a-file"]["spec"] == {"pids": 7}
    other = yaml.safe_dump(body | {"metadata": {"name": "of-stdin"}})
    assert line.invoke("create", "-f", "-", "--no-wait", stdin=other).exit_code == 0
    assert ("sandboxes", "agents", "of-stdin") in line.cluster.api.objects


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("kind: Pod", [], "holds no Sandbox"),
        ("a: [", [], "sandbox.yaml: "),
        ("---\n---\n", [], "holds 0 objects"),
        (yaml.safe_dump(sandbox("x", "other")), ["-n", "agents"], "says namespace other"),
        (yaml.safe_dump(sandbox("x")), ["--memory", "1Gi"], "the file says everything"),
        (yaml.safe_dump(sandbox("x")), ["name"], "the file says everything"),
    ],
)
def test_file_that_is_not_what_was_meant_is_2(
    line: Line, tmp_path: Path, text: str, arguments: list[str], said: str
) -> None:
    path = tmp_path / "sandbox.yaml"
    path.write_text(text)
    done = line.invoke("create", "-f", str(path), *arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


def test_existing_name_is_3(line: Line) -> None:
    done = line.invoke("create", "demo")
    assert done.exit_code == 3
    assert "AlreadyExists" in done.stderr


def test_ls_shows_columns_and_for_programs_objects(line: Line) -> None:
    line.cluster.api.put("sandboxes", sandbox("broken", ready=False))
    heading, first, second = line.invoke("ls").stdout.splitlines()
    assert heading.split() == ["NAME", "READY", "REASON", "PHASE", "CLASS", "AGE"]
    assert sorted([first.split()[:3], second.split()[:3]]) == [
        ["broken", "False", "Unschedulable"],
        ["demo", "True", "PodReady"],
    ]
    assert "no node has room" in line.invoke("ls", "-o", "wide").stdout
    assert line.invoke("ls", "-A").stdout.split()[0] == "NAMESPACE"
    assert len(json.loads(line.invoke("ls", "-o", "json").stdout)["items"]) == 2
    assert len(yaml.safe_load(line.invoke("ls", "-o", "yaml").stdout)["items"]) == 2
    assert "sandboxes.ringfence.dev/demo\n" in line.invoke("ls", "-o", "name").stdout


def test_nothing_to_list_is_said_beside_the_result(line: Line) -> None:
    line.cluster.api.drop("sandboxes", "agents", "demo")
    done = line.invoke("ls")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no Sandboxes in namespace agents" in done.stderr


@pytest.mark.parametrize("command", [["ls", "-o", "wide"], ["describe", "evil"]])
def test_no_text_of_a_sandbox_steers_the_terminal(line: Line, command: list[str]) -> None:
    evil = sandbox("evil")
    evil["status"]["conditions"][0]["message"] = "\x1b]0;evil\x07\x9b31m[red]x[/]\r\n"
    evil["status"]["isolation"] = {
        "network": {"state": "Degraded", "reason": "X", "message": "\x1b[2J:smile:"}
    }
    line.cluster.api.put("sandboxes", evil)
    text = line.invoke(*command).stdout
    assert not any(c in text for c in "\x1b\x07\x9b\r")
    assert "[red]x[/]" in text


def test_describe_tells_layers_conditions_and_what_to_do(line: Line) -> None:
    found = sandbox(ready=False)
    found["status"]["isolation"] = {
        "audit": {"state": "NotAvailable", "reason": "X", "message": "nothing is recorded"},
        "process": {"state": "Enforced", "reason": "X", "message": "no capability"},
    }
    line.cluster.api.put("sandboxes", found)
    text = line.invoke("describe", "demo").stdout
    assert text.index("process") < text.index("audit")
    assert "free room on a node" in text
    assert json.loads(line.invoke("describe", "demo", "-o", "json").stdout)["kind"] == "Sandbox"
    assert line.invoke("describe", "demo", "-o", "name").stdout.endswith("/demo\n")


def test_all_is_well_needs_no_advice() -> None:
    assert views.what_to_do(sandbox()) == []
    new = {k: v for k, v in sandbox().items() if k != "status"}
    assert views.what_to_do(new) == [
        "the operator has not seen it: kubectl -n ringfence-system get pods"
    ]


@pytest.mark.parametrize(
    "seconds", [(5, "5s"), (119, "119s"), (130, "2m"), (7300, "2h"), (2e5, "2d")]
)
def test_age_is_told_in_kubectls_way(seconds: tuple[float, str]) -> None:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    now = datetime(2026, 1, 9, tzinfo=UTC)
    then = (now - timedelta(seconds=seconds[0])).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert views.age(then, now) == seconds[1]


def test_network_of_a_sandbox_is_told_in_words() -> None:
    assert views._network({}) == "the class's allowlist"
    assert views._network({"egress": {"allow": []}}) == "closed"
    rules = [{"host": "a"}, {"host": "b", "ports": [1, 2]}]
    assert views._network({"egress": {"allow": rules}}) == "a:443, b:1,2"


def test_cp_goes_both_ways_and_tells_what_was_left_out(line: Line, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    done = line.invoke("cp", str(tmp_path / "a"), "demo:b")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "1 files, 1 bytes" in done.stderr
    (line.cluster.work / "d").mkdir()
    (line.cluster.work / "d/evil").symlink_to("/etc")
    (line.cluster.work / "d/b").write_text("y")
    done = line.invoke("cp", "demo:d", str(tmp_path / "out"))
    assert done.exit_code == 0
    assert "evil: left out, a link that leads elsewhere" in done.stderr
    assert (tmp_path / "out/b").read_text() == "y"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["/a", "/b"], 2, "one of the two is NAME:PATH"),
        (["demo:/a", "demo:/b"], 2, "one of the two is NAME:PATH"),
        (["demo:/a", "/b", "--limit", "much"], 2, "--limit 'much'"),
        (["demo:/none", "/none/x"], 3, "/none: no such file or directory in Sandbox demo"),
        (["./a:b", "demo:/x"], 3, "no such file or directory on this machine"),
    ],
)
def test_cp_that_cannot_be_tells_why(
    line: Line, arguments: list[str], code: int, said: str
) -> None:
    done = line.invoke("cp", *arguments)
    assert (done.exit_code, said in done.stderr) == (code, True), done.stderr


def test_logs_ask_for_what_was_wanted(line: Line) -> None:
    line.cluster.log = b"\x1b[31mred\xff\n"
    done = line.run("logs", "demo", "proxy", "-f", "--tail", "3", "--since", "2m", "-p")
    assert done.stdout == line.cluster.log
    assert dict(line.cluster.execs[-1].query) == {
        "container": "egress-proxy",
        "follow": "true",
        "tailLines": "3",
        "sinceSeconds": "120",
        "previous": "true",
    }


def test_logs_that_are_not_there_tell_why(line: Line) -> None:
    line.cluster.log = None
    assert "no such container" in line.invoke("logs", "demo").stderr
    assert line.invoke("logs", "demo", "--since", "now").exit_code == 2
    line.cluster.api.put("sandboxes", sandbox(ready=False))
    done = line.invoke("logs", "demo")
    assert (done.exit_code, "no node has room" in done.stderr) == (1, True)


def test_delete_waits_until_the_pod_has_ended(line: Line) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "demo",
            "namespace": "agents",
            "labels": {"ringfence.dev/sandbox-uid": "u"},
        },
    }
    line.cluster.api.put("pods", pod)
    assert line.invoke("delete", "demo", "--timeout", "0.5").exit_code == 1
    line.cluster.api.drop("pods", "agents", "demo")
    line.cluster.api.put("sandboxes", sandbox())
    done = line.invoke("delete", "demo")
    assert (done.exit_code, done.stdout) == (0, "Sandbox demo is gone\n")


def test_deleting_what_is_not_there_is_told_after_the_others(line: Line) -> None:
    done = line.invoke("delete", "none", "demo", "--no-wait")
    assert (done.exit_code, done.stdout) == (3, "Sandbox demo was deleted\n")
    assert line.invoke("delete", "none", "--ignore-not-found").exit_code == 0


def test_kubectl_and_shells_complete_live_names(
    line: Line, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", line.environment["KUBECONFIG"])
    assert for_kubectl(["exec", "d"]) == "demo\n:4\n"
    assert for_kubectl(["exec", "x"]) == "\n:4\n"
    assert "describe\n" in for_kubectl(["d"])
    monkeypatch.setattr("sys.argv", ["kubectl_complete-ringfence", "describe", ""])
    main.kubectl_completion()
    assert capsys.readouterr().out == "demo\n:4\n"
    monkeypatch.setenv("KUBECONFIG", "/none")
    assert for_kubectl(["exec", "d"]) == "\n:4\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script(line: Line, shell: str) -> None:
    done = line.invoke("completion", shell)
    assert done.exit_code == 0
    assert "_RINGFENCE_COMPLETE=complete_" in done.stdout


@pytest.mark.parametrize(
    "command", ["create", "ls", "describe", "exec", "cp", "logs", "delete", "completion", "attack"]
)
def test_help_teaches(line: Line, command: str) -> None:
    done = line.invoke(command, "--help")
    assert done.exit_code == 0
    assert len(done.stdout) > 300


def test_name_of_the_program_is_the_plugins_if_kubectl_runs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/kubectl-ringfence", "ls", "--help"])
    with pytest.raises(SystemExit):
        main.main()
    assert "kubectl ringfence ls" in capsys.readouterr().out
