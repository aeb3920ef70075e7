"""The proxy signs calls of permitted models and nothing else, for an agent without a credential.

The real Envoy with the operator's configuration and the real credentials program, in a namespace
with a stand-in for AWS that checks signatures and policies. No Kubernetes.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from aws import world as aws_world
from aws.world import ADDRESS, HOSTS, MODEL, REGION, ROLE, World, poll, signing_proxy
from egress.proxy import write_config_map
from ringfence.api import Sandbox, SandboxClass
from ringfence.credentials.files import NONE
from ringfence.policy import Identity, effective
from ringfence.resources.egress import envoy_files
from ringfence.resources.environment import environment
from ringfence.resources.envoy_bedrock import MAX_BODY_BYTES, SIGNING_PORT

OTHER_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
ESCAPED = MODEL.replace(":", "%3A")
INVOKE = f"/model/{ESCAPED}/invoke"
ARN = f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}"

BOTO3 = """
import json, sys, time
import boto3
client = boto3.client("bedrock-runtime")
begun = time.monotonic()
try:
    answer = client.invoke_model(modelId={model!r}, body=json.dumps({{"n": 1}}))
    print(json.loads(answer["body"].read())["content"][0]["text"])
    begun = time.monotonic()
    events = client.invoke_model_with_response_stream(modelId={model!r}, body="{{}}")["body"]
    for event in events:
        print(f"{{time.monotonic() - begun:.2f}}", event["chunk"]["bytes"].decode())
except client.exceptions.ClientError as error:
    print(error.response["Error"]["Code"], error.response["Error"]["Message"])
"""


def _environment() -> dict[str, str]:
    """Exactly what the agent of such a Sandbox gets."""
    meta = {"name": "reporter", "namespace": "agents"}
    identity = {"roleArn": ROLE}
    wanted = effective(
        Sandbox.parse({"metadata": meta, "spec": {"identity": identity}}),
        SandboxClass.parse(
            {
                "metadata": {"name": "aws"},
                "spec": {"images": {"default": "x"}, "identity": {"roleArns": [ROLE]}},
            }
        ),
    )
    return {v["name"]: v["value"] for v in environment(wanted)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with signing_proxy(tmp_path_factory.mktemp("aws")) as running:
        running.keep_credentials()
        assert running.filled(), running.why()
        assert poll(lambda: running.ask(INVOKE).status == 200, 5)
        yield running


@pytest.fixture
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Without credentials so far."""
    with signing_proxy(tmp_path_factory.mktemp("bare")) as running:
        yield running


# --- what is let through ----------------------------------------------------------------------


@pytest.mark.parametrize("model", [MODEL, ARN])
def test_unmodified_boto3_gets_an_answer_and_a_stream(world: World, model: str) -> None:
    said, *events = world.boto3(BOTO3.format(model=model), _environment()).splitlines()
    assert said == f"hello from {model}"
    assert len(events) == 5
    assert all("content_block_delta" in event for event in events)
    arrived = [float(event.partition(" ")[0]) for event in events]
    assert arrived[-1] - arrived[0] > 1.0, "the events came one by one"


def test_client_that_does_not_escape_the_name_is_signed_as_well(world: World) -> None:
    assert world.ask(f"/model/{MODEL}/invoke").status == 200


def test_body_of_the_greatest_size_that_bedrock_takes_passes(world: World) -> None:
    assert world.ask(INVOKE, body=b"x" * MAX_BODY_BYTES).status == 200
    received = world.aws.requests("bedrock-runtime")[-1]["headers"]
    assert received["content-length"] == str(MAX_BODY_BYTES)


def test_larger_body_is_refused_in_words(world: World) -> None:
    before = world.reached()
    reply = world.ask(INVOKE, body=b"x" * (MAX_BODY_BYTES + 70_000))
    assert reply.status == 413
    assert "larger than 25000000 bytes" in reply.body
    assert world.reached() == before


# --- what is refused --------------------------------------------------------------------------

REFUSED = {
    "other vendor": "/model/meta.llama3-8b-instruct-v1%3A0/invoke",
    "other operation": f"/model/{ESCAPED}/converse",
    "other stream": f"/model/{ESCAPED}/converse-stream",
    "batch": "/async-invoke",
    "agents": "/agents/A/agentAliases/B/sessions/C/text",
    "query": f"{INVOKE}?x=1",
    "empty query": f"{INVOKE}?",
    "presigned": f"{INVOKE}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00",
    "fragment": f"{INVOKE}#x",
    "trailing slash": f"{INVOKE}/",
    "double slash": f"/model//{ESCAPED}/invoke",
    "leading double slash": f"/{INVOKE}",
    "absolute, same host": f"http://{HOSTS[1]}/model/meta.x/invoke",
    "absolute, other host": "http://evil.example.test/",
    "climbing": f"/model/{ESCAPED}/../../agents/invoke",
    "climbing to another model": f"/model/{ESCAPED}/../meta.llama3/invoke",
    "climbing back": f"/x/..{INVOKE}",
    "dot": f"/./model/{ESCAPED}/invoke",
    "escaped climbing": "/model/anthropic.x%2F..%2Fmeta.llama3/invoke",
    "escaped dots": "/model/anthropic.x/%2E%2E/meta.llama3/invoke",
    "escaped letter": "/model/%61nthropic.claude/invoke",
    "escaped twice": f"/model/{ESCAPED.replace('%', '%25')}/invoke",
    "slash escaped twice": "/model/anthropic.x%252F..%252Fmeta.llama3/invoke",
    "backslash": "/model/anthropic.x\\..\\meta.llama3/invoke",
    "escaped backslash": "/model/anthropic.x%5C..%5Cmeta.llama3/invoke",
    "NUL": "/model/anthropic.x%00/invoke",
    "line break": "/model/anthropic.x%0d%0aHost:evil/invoke",
    "semicolon": f"/model/{ESCAPED};x/invoke",
    "overlong UTF-8": "/model/anthropic.x%c0%af/invoke",
    "raw byte": "/model/anthropic.\xe9/invoke",
    "capitals": f"/MODEL/{ESCAPED}/invoke",
    "ARN of another service": "/model/arn%3Aaws%3Asagemaker%3Aus-east-1%3A%3Aendpoint%2Fx/invoke",
    "ARN of another account": "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A999999999999%3A"
    "inference-profile%2Fx/invoke",
    "root": "/",
    "asterisk": "*",
    "STS": "/?Action=GetCallerIdentity&Version=2011-06-15",
}


@pytest.mark.parametrize("case", REFUSED)
def test_no_other_target_leaves_the_pod(world: World, case: str) -> None:
    before = world.reached(), len(world.aws.requests())
    reply = world.ask(REFUSED[case])
    assert reply.status in {400, 403}
    assert (world.reached(), len(world.aws.requests())) == before


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "post"])
def test_no_other_method_leaves_the_pod(world: World, method: str) -> None:
    before = world.reached()
    # An answer to HEAD announces a body and has none.
    head = "" if method != "HEAD" else "Accept: */*\r\n"
    assert world.ask(INVOKE, method=method, head=head).status in {400, 403}
    assert world.reached() == before


def test_tunnel_through_the_signing_listener_is_refused(world: World) -> None:
    request = f"CONNECT {HOSTS[1]}:443 HTTP/1.1\r\nHost: {HOSTS[1]}:443\r\n\r\n"
    assert world.proxy.ask(request.encode(), SIGNING_PORT).status == 403


@pytest.mark.parametrize("host", HOSTS)
def test_agent_cannot_tunnel_to_the_hosts_that_the_proxy_calls(world: World, host: str) -> None:
    assert world.proxy.status(f"{host}:443") == 403


CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "request_bytes",
    [
        f"POST {INVOKE} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n{CHUNKED}\r\n\r\n0\r\n\r\n",
        f"POST {INVOKE} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}",
        f"POST {INVOKE} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        f"POST {INVOKE} HTTP/1.1\r\nHost: x\r\nA b: c\r\nContent-Length: 0\r\n\r\n",
        f"POST {INVOKE}\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_request_that_two_servers_may_read_differently_is_refused(
    world: World, request_bytes: str
) -> None:
    before = world.reached()
    reply = world.proxy.ask(request_bytes.encode(), SIGNING_PORT)
    reply.tunnel.close()
    assert reply.status in {0, 400, 403, 426}
    assert world.reached() == before


def test_refusal_says_why_as_an_exception_of_aws_sdks(world: World) -> None:
    said = world.boto3(BOTO3.format(model="meta.llama3-8b-instruct-v1:0"), _environment())
    assert said.startswith("AccessDeniedException this model is none of those")
    assert "spec.identity.modelArns" in said


def test_every_call_and_every_refusal_is_a_line_of_the_access_log(world: World) -> None:
    world.ask(INVOKE)
    world.ask("/model/meta.x/invoke")
    passed, refused = world.calls()[-2:]
    assert (passed["method"], passed["path"], passed["code"]) == ("POST", INVOKE, 200)
    assert passed["address"] == f"{ADDRESS}:443"
    assert (refused["path"], refused["code"]) == ("/model/meta.x/invoke", 403)
    assert refused["address"] is None


# --- who signs --------------------------------------------------------------------------------

CLIENTS_OWN = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIAEVIL/20260101/us-east-1/bedrock/aws4_request,"
    " SignedHeaders=host, Signature=00",
    "Proxy-Authorization": "Basic eDp5",
    "X-Amz-Security-Token": "evil-token",
    "X-Amz-Date": "20200101T000000Z",
    "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
    "X-Amz-Target": "Evil.Operation",
    "X-AMZ-Server-Side": "evil",
    "Cookie": "evil=1",
    "X-Forwarded-For": "10.6.6.6",
    "X-Forwarded-Host": "evil.example.test",
    "X-Envoy-Original-Path": "/evil",
}


def test_what_the_client_signed_with_does_not_reach_aws(world: World) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in CLIENTS_OWN.items())
    assert world.ask(INVOKE, head=head).status == 200
    received = world.aws.requests("bedrock-runtime")[-1]["headers"]
    assert "evil" not in json.dumps(received).lower()
    assert "AKIAEVIL" not in json.dumps(received)
    assert not {"cookie", "proxy-authorization", "x-forwarded-for"} & set(received)
    assert received["host"] == HOSTS[1]


def test_header_that_names_another_host_changes_nothing(world: World) -> None:
    request = (
        f"POST {INVOKE} HTTP/1.1\r\nHost: evil.example.test\r\nContent-Length: 2\r\n"
        "Connection: close\r\n\r\n{}"
    )
    reply = world.proxy.ask(request.encode(), SIGNING_PORT)
    reply.tunnel.close()
    assert reply.status == 200
    assert world.aws.requests("bedrock-runtime")[-1]["headers"]["host"] == HOSTS[1]


def test_headers_that_belong_to_bedrock_pass(world: World) -> None:
    head = "X-Amzn-Bedrock-GuardrailIdentifier: g1\r\nContent-Type: application/json\r\n"
    assert world.ask(INVOKE, head=head).status == 200
    received = world.aws.requests("bedrock-runtime")[-1]["headers"]
    assert received["x-amzn-bedrock-guardrailidentifier"] == "g1"
    assert received["content-type"] == "application/json"


def test_renewed_credentials_are_used_without_a_restart(world: World) -> None:
    def key() -> str:
        assert world.ask(INVOKE).status == 200
        header = world.aws.requests("bedrock-runtime")[-1]["headers"]["authorization"]
        return str(header).partition("Credential=")[2].partition("/")[0]

    first = key()
    world.stop_programs()
    world.keep_credentials()
    assert poll(lambda: key() != first, 10)


# --- without credentials ----------------------------------------------------------------------


def test_without_credentials_nothing_leaves_and_the_sdk_says_why(bare: World) -> None:
    said = bare.boto3(BOTO3.format(model=MODEL), _environment())
    assert said.startswith("ServiceUnavailableException the egress proxy has no AWS credentials")
    assert "IdentityReady" in said
    assert bare.reached() == 0


def test_credentials_that_are_taken_away_are_not_used_again(bare: World) -> None:
    bare.keep_credentials()
    assert bare.filled()
    assert poll(lambda: bare.ask(INVOKE).status == 200, 5)
    bare.stop_programs()
    with bare.aws.failing("sts", 403, "AccessDenied", "the role is gone"):
        bare.keep_credentials().wait(timeout=10)
    assert poll(lambda: bare.ask(INVOKE).status == 503, 5)
    before = bare.reached()
    assert bare.ask(INVOKE).status == 503
    assert bare.reached() == before


@pytest.mark.parametrize(
    ("subject", "audience"),
    [
        ("system:serviceaccount:agents:other", "sts.amazonaws.com"),
        ("system:serviceaccount:other:reporter", "sts.amazonaws.com"),
        (aws_world.SUBJECT, "https://kubernetes.default.svc"),
    ],
)
def test_role_trusts_one_subject_and_one_audience(bare: World, subject: str, audience: str) -> None:
    program = bare.keep_credentials(aws_world.token(subject, audience))
    assert program.wait(timeout=20) == 1
    assert bare.why() == "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"


def test_outage_of_sts_is_told_with_the_host(bare: World) -> None:
    with bare.aws.failing("sts", 503, "ServiceUnavailable", "try later"):
        assert bare.keep_credentials().wait(timeout=60) == 1
    assert bare.why() == f"{HOSTS[0]} answered ServiceUnavailable: try later"


def test_impostor_of_sts_never_sees_the_token(bare: World) -> None:
    """Its certificate is signed by an authority that is not trusted here."""
    assert bare.keep_credentials(trusted=OTHER_AUTHORITIES).wait(timeout=60) == 1
    assert "certificate verify failed" in bare.why()
    assert bare.aws.requests("sts") == []


def test_impostor_of_bedrock_never_sees_a_request(bare: World) -> None:
    bare.keep_credentials()
    assert bare.filled()
    assert poll(lambda: bare.ask(INVOKE).status == 200, 5)
    before = bare.reached()
    _reconfigure(bare, bare.identity, trusted=OTHER_AUTHORITIES, restart=True)
    assert poll(lambda: bare.ask(INVOKE).status == 503, 5)
    assert bare.reached() == before


# --- role, session and class ------------------------------------------------------------------


def test_role_may_do_no_more_than_its_policy_whatever_the_class_permits(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    anything = ("arn:aws:bedrock:*::foundation-model/*",)
    with signing_proxy(tmp_path_factory.mktemp("wide"), anything) as wide:
        wide.keep_credentials()
        assert wide.filled()
        assert poll(lambda: wide.ask(INVOKE).status == 200, 5)
        said = wide.boto3(BOTO3.format(model="meta.llama3-8b-instruct-v1:0"), _environment())
        assert said.startswith("AccessDeniedException not authorized to perform")


def test_session_may_do_no_more_than_the_class_permits_whatever_the_proxy_lets_through(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """As if the proxy's own check had failed: it permits more models than the session has."""
    one = ("arn:aws:bedrock:*::foundation-model/anthropic.claude-x",)
    with signing_proxy(tmp_path_factory.mktemp("session")) as loose:
        loose.identity = Identity("Proxy", ROLE, REGION, one)
        loose.keep_credentials()
        assert loose.filled()
        assert poll(lambda: loose.ask("/model/anthropic.claude-x/invoke").status == 200, 5)
        assert loose.ask(INVOKE).status == 403
        assert loose.calls()[-1]["details"] == "via_upstream"


def _reconfigure(
    world: World, identity: Identity, trusted: str = "", *, restart: bool = False
) -> None:
    paths = world.paths._replace(trusted=trusted) if trusted else world.paths
    where = world.proxy.directory
    files = envoy_files(
        [], resolver="127.0.0.1", directory=str(where), identity=identity, paths=paths
    )
    write_config_map(where, files)
    if restart:
        world.proxy.restart()


def test_class_that_permits_fewer_models_reaches_a_running_proxy(bare: World) -> None:
    bare.keep_credentials()
    assert bare.filled()
    assert poll(lambda: bare.ask(INVOKE).status == 200, 5)
    one = ("arn:aws:bedrock:*::foundation-model/anthropic.claude-x",)
    _reconfigure(bare, Identity("Proxy", ROLE, REGION, one))
    assert poll(lambda: bare.ask(INVOKE).status == 403, 5)
    assert bare.ask("/model/anthropic.claude-x/invoke").status == 200


# --- the proxy under load ---------------------------------------------------------------------


def test_flood_of_large_bodies_hurts_only_itself(world: World) -> None:
    """32 uploads of 25 MB at once would be five times the proxy's heap."""

    def upload() -> None:
        head = f"POST {INVOKE} HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY_BYTES}\r\n\r\n"
        try:
            with world.proxy.dial(SIGNING_PORT) as connection:
                connection.sendall(head.encode() + b"x" * (MAX_BODY_BYTES - 1))
                time.sleep(3)
        except OSError:
            pass

    threads = [threading.Thread(target=upload) for _ in range(32)]
    for thread in threads:
        thread.start()
    peak = 0.0
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, world.proxy.rss_mib())
        time.sleep(0.05)
    assert poll(lambda: world.ask(INVOKE).status == 200, 10)
    assert peak < 512, "the memory limit of the container"


def test_agent_that_holds_every_connection_does_not_keep_credentials_away(bare: World) -> None:
    with ExitStack() as held:
        for _ in range(300):
            held.enter_context(bare.proxy.dial())
        bare.keep_credentials()
        assert bare.filled(), bare.why()


def test_silent_client_is_cut_off(world: World) -> None:
    with world.proxy.dial(SIGNING_PORT) as connection:
        connection.sendall(f"POST {INVOKE} HTTP/1.1\r\n".encode())
        connection.settimeout(8)
        try:
            answer = connection.recv(100)
        except TimeoutError:
            answer = None
        assert answer == b"" or b"408" in (answer or b"")


def test_idle_signing_proxy_stays_small(world: World) -> None:
    assert world.proxy.inotify_instances() == 3


def test_empty_file_of_credentials_is_one_without(bare: World) -> None:
    """What is renamed there later counts, so the proxy may start before there are credentials."""
    assert Path(bare.paths.credentials).read_text() == NONE
    assert bare.ask(INVOKE).status == 503
