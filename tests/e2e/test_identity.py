"""A Sandbox calls Bedrock without holding a credential, or with one of fifteen minutes.

The real cluster with a stand-in for AWS in its stand-in internet. The token is the API server's
own, and the role trusts it by subject and audience.
"""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

import product
import support
from aws.world import ADDRESS, DOCUMENTS, HOSTS, MODEL, REGION, ROLE, Aws, aws
from cluster import Cluster, ClusterError, config
from cluster.progress import Progress
from egress import ca, wheels
from images import build, recipe
from pods import fresh_namespace

pytestmark = [pytest.mark.usefixtures("ringfence"), pytest.mark.timeout(240)]

Json = dict[str, Any]
NAME = "reporter"
BOTO3 = ("boto3==1.44.8",)

CALL = """
import json, time, boto3
client = boto3.client("bedrock-runtime")
body = client.invoke_model(modelId=MODEL, body="{}")["body"].read()
print(json.loads(body)["content"][0]["text"])
begun = time.monotonic()
for event in client.invoke_model_with_response_stream(modelId=MODEL, body="{}")["body"]:
    print(f"{time.monotonic() - begun:.2f}", event["chunk"]["bytes"].decode())
"""

SEARCH = r"""
import glob, json, os, re, socket
MARKS = re.compile(
    rb"ASIA[A-Z0-9]{12}|eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\.|FQoGZX[A-Za-z0-9+/]{40}"
)
SKIPPED = ("/proc", "/sys", "/usr", "/work/.local", "/dev")
hits, seen = set(), 0

def look(place, data):
    global seen
    seen += 1
    if MARKS.search(data):
        hits.add(place)

def read(path):
    try:
        with open(path, "rb") as file:
            return file.read(1 << 22)
    except OSError:
        return b""

for process in glob.glob("/proc/[0-9]*"):
    for name in ("environ", "cmdline", "mountinfo", "maps"):
        look(f"{process}/{name}", read(f"{process}/{name}"))
for top, directories, files in os.walk("/"):
    directories[:] = [d for d in directories if not os.path.join(top, d).startswith(SKIPPED)]
    for name in files:
        path = os.path.join(top, name)
        if os.path.isfile(path):
            look(path, read(path))
ports = []
for port in range(1, 65536):
    with socket.socket() as probe:
        probe.settimeout(2)
        answered = probe.connect_ex(("127.0.0.1", port)) == 0
        # A socket that is given this very port as its own connects to itself.
        if answered and probe.getsockname() != probe.getpeername():
            ports.append(port)
PATHS = ("/", "/stats", "/config_dump", "/certs", "/latest/meta-data/iam/", "/run/aws/credentials")
for port in ports:
    for path in PATHS:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as asked:
            asked.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            look(f"port {port}{path}", b"".join(iter(lambda: asked.recv(65536), b"")))
sockets = read("/proc/net/unix").decode()
print(json.dumps({"hits": sorted(hits), "seen": seen, "ports": ports, "sockets": sockets}))
"""


@pytest.fixture(scope="module")
def agents(cluster: Cluster) -> Iterator[str]:
    """A namespace in which the role trusts one ServiceAccount."""
    with fresh_namespace(cluster) as name:
        yield name


@pytest.fixture(scope="module")
def stand_in(
    cluster: Cluster, agents: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Aws]:
    """AWS, for the cluster: its addresses and names, its authority in our images, a class."""
    state, documents = (tmp_path_factory.mktemp(name) for name in ("aws", "documents"))
    for source in DOCUMENTS.glob("*.json"):
        text = source.read_text().replace(
            "system:serviceaccount:agents:", f"system:serviceaccount:{agents}:"
        )
        (documents / source.name).write_text(text)
    inside = ["ip", "netns", "exec", config.WORLD_NETNS]
    address = [f"{ADDRESS}/32", "dev", "eth0"]
    wheels.download_wheels(BOTO3)
    subprocess.run([*inside, "ip", "address", "add", *address], check=True)
    for host in HOSTS:
        cluster.dns_override(host, ADDRESS)
    _trust_the_stand_in(cluster)
    _make_class(cluster)
    try:
        with aws(inside, state, documents) as running:
            yield running
    finally:
        subprocess.run([*inside, "ip", "address", "del", *address], check=True)
        for host in HOSTS:
            cluster.dns_reset(host)
        cluster.kubectl("delete", "sandboxclass", "aws")
        product.install(cluster, Progress())


def _trust_the_stand_in(cluster: Cluster) -> None:
    """Images of proxy and credentials program that trust the authority of the tests."""
    tag = f"{recipe.version()}-e2e"
    for name in ("proxy", "operator"):
        cluster.load_image(build.build(name, certificate=ca.ca()))
    product.helm(
        cluster,
        *("upgrade", "ringfence", str(product.REPOSITORY / "helm" / "ringfence")),
        *("--namespace", product.NAMESPACE, "--reuse-values", "--wait", "--timeout", "3m"),
        *("--set", f"image.tag={tag}", "--set", f"proxy.image.tag={tag}"),
    )


def _make_class(cluster: Cluster) -> None:
    standard = support.get(cluster, "sandboxclass", "", "standard")
    assert standard is not None
    spec = {
        "images": standard["spec"]["images"],
        "identity": {
            "roleArns": [ROLE],
            "region": REGION,
            "modes": ["Proxy", "TemporaryCredentials"],
        },
    }
    kind = {"apiVersion": "ringfence.dev/v1alpha1", "kind": "SandboxClass"}
    support.apply(cluster, {**kind, "metadata": {"name": "aws"}, "spec": spec})


def _identity(mode: str = "Proxy") -> Json:
    return {"className": "aws", "identity": {"mode": mode, "roleArn": ROLE}}


@pytest.fixture
def sandbox(
    cluster: Cluster, agents: str, stand_in: Aws, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The Sandbox whose ServiceAccount the role trusts; in mode Proxy unless the test says so."""
    assert stand_in.state.exists()
    mode = getattr(request, "param", "Proxy")
    yield support.sandbox(cluster, agents, NAME, **_identity(mode))
    cluster.kubectl("delete", "sandbox", NAME, "-n", agents, "--wait")
    _gone(cluster, agents)


def _gone(cluster: Cluster, namespace: str) -> None:
    support.poll("the Pod to end", lambda: support.get(cluster, "pod", namespace, NAME) is None)


def _identity_ready(cluster: Cluster, namespace: str) -> Json:
    found = support.get(cluster, "sandbox", namespace, NAME)
    return support.condition(found, "IdentityReady")


def _install_boto3(cluster: Cluster, namespace: str) -> None:
    support.execute(cluster, namespace, NAME, "pip", "install", "--quiet", *BOTO3)


def _call(cluster: Cluster, namespace: str) -> list[str]:
    program = CALL.replace("MODEL", repr(MODEL))
    try:
        return support.python(cluster, namespace, NAME, program).splitlines()
    except ClusterError as error:
        log = cluster.kubectl("logs", NAME, "-n", namespace, "-c", "egress-proxy", "--tail", "20")
        message = f"{error}\nthe egress proxy said:\n{log}"
        raise AssertionError(message) from error


def _search(cluster: Cluster, namespace: str) -> Json:
    found: Json = json.loads(support.python(cluster, namespace, NAME, SEARCH))
    return found


def test_unmodified_boto3_in_a_sandbox_gets_an_answer_and_a_stream(
    cluster: Cluster, agents: str, sandbox: str
) -> None:
    assert _identity_ready(cluster, agents)["status"] == "True"
    _install_boto3(cluster, agents)
    said, *events = _call(cluster, agents)
    assert said == f"hello from {MODEL}"
    arrived = [float(event.partition(" ")[0]) for event in events]
    assert len(arrived) == 5
    assert arrived[-1] - arrived[0] > 1.0, "the events came one by one"
    log = cluster.kubectl("logs", sandbox, "-n", agents, "-c", "egress-proxy")
    assert '"stage":"bedrock"' in log


def test_search_of_the_sandbox_finds_no_key_token_or_secret(
    cluster: Cluster, agents: str, sandbox: str
) -> None:
    found = _search(cluster, agents)
    assert found["hits"] == []
    assert found["ports"] == [3128, 3129]
    assert found["seen"] > 100
    # One that lies in a file system is out of reach where that is not mounted.
    assert "@" not in found["sockets"]
    listed = support.execute(cluster, agents, sandbox, "sh", "-c", "ls -d /run/* || true")
    assert not {"/run/aws", "/run/sts", "/run/token"} & set(listed.split())


@pytest.mark.parametrize("sandbox", ["TemporaryCredentials"], indirect=True)
def test_temporary_credentials_are_in_their_file_and_nowhere_else(
    cluster: Cluster, agents: str, sandbox: str
) -> None:
    """That an SDK is answered with them is not shown here; docs/identity.md says so."""
    found = _search(cluster, agents)
    assert found["hits"] == ["/run/aws/credentials"]
    assert found["ports"] == [3128]
    text = support.execute(cluster, agents, sandbox, "cat", "/run/aws/credentials")
    assert set(json.loads(text)) == {
        "Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"
    }  # fmt: skip
    write = "echo x >/run/aws/credentials || echo x >/run/aws/other || echo refused"
    assert "refused" in support.execute(cluster, agents, sandbox, "sh", "-c", write)


def test_role_that_does_not_trust_the_sandbox_is_told_in_the_words_of_aws(
    cluster: Cluster, agents: str, stand_in: Aws
) -> None:
    assert stand_in.state.exists()
    name = support.create_sandbox(cluster, agents, "stranger", **_identity())
    found = support.wait_for(cluster, agents, name, "IdentityNotReady", 90)
    identity = support.condition(found, "IdentityReady")
    assert identity["status"] == "False"
    assert (
        "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"
        in identity["message"]
    )
    pod = support.get(cluster, "pod", agents, name)
    assert pod is not None
    (agent,) = pod["status"]["containerStatuses"]
    assert "waiting" in agent["state"], "no agent is started without credentials"
    cluster.kubectl("delete", "sandbox", name, "-n", agents)


def test_identity_that_is_lost_is_told_and_comes_back_while_the_agent_runs_on(
    cluster: Cluster, agents: str, sandbox: str, stand_in: Aws
) -> None:
    pod = support.get(cluster, "pod", agents, sandbox)
    assert pod is not None
    agent = pod["status"]["containerStatuses"][0]["containerID"]
    with stand_in.failing("sts", 403, "AccessDenied", "the role is gone"):
        _restart_credentials(cluster, agents)
        found = support.wait_for(cluster, agents, sandbox, "IdentityNotReady", 60)
        assert (
            "AccessDenied: the role is gone" in support.condition(found, "IdentityReady")["message"]
        )
        assert found["status"]["phase"] == "Running"
        answer = support.python(cluster, agents, sandbox, _POST)
        assert answer.startswith("503")
        assert "no AWS credentials" in answer
    support.wait_ready(cluster, agents, sandbox, 120)
    assert support.python(cluster, agents, sandbox, _POST).startswith("200")
    pod = support.get(cluster, "pod", agents, sandbox)
    assert pod is not None
    assert pod["status"]["containerStatuses"][0]["containerID"] == agent


_POST = f"""
import urllib.request, urllib.error
request = urllib.request.Request("http://127.0.0.1:3129/model/{MODEL}/invoke", b"{{}}")
try:
    answer = urllib.request.urlopen(request, timeout=20)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode())
"""


def _restart_credentials(cluster: Cluster, namespace: str) -> None:
    program = "import os, signal; os.kill(1, signal.SIGTERM)"
    cluster.kubectl(
        *("exec", NAME, "-n", namespace, "-c", "aws-credentials", "--", "python3.11", "-c", program)
    )


@pytest.mark.parametrize(
    ("identity", "field"),
    [
        ({}, "roleArn is required"),
        ({"mode": "None", "roleArn": ROLE}, "roleArn has no effect"),
        ({"mode": "Other", "roleArn": ROLE}, "spec.identity.mode"),
        ({"roleArn": "admin"}, "spec.identity.roleArn"),
    ],
)
def test_api_server_refuses_an_identity_that_contradicts_itself(
    cluster: Cluster, namespace: str, identity: Json, field: str
) -> None:
    with pytest.raises(ClusterError, match=field):
        support.create_sandbox(cluster, namespace, "bad", identity=identity)


def test_default_class_permits_no_role(cluster: Cluster, namespace: str) -> None:
    name = support.create_sandbox(cluster, namespace, identity={"roleArn": ROLE})
    found = support.wait_for(cluster, namespace, name, "ClassCeilingExceeded")
    assert "spec.identity.roleArn" in support.condition(found)["message"]
