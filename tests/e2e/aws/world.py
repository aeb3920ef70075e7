"""The stand-in for AWS, the signing proxy and the credentials program, in a namespace of their own.

Everything that a Pod with `identity.mode: Proxy` has, but the kubelet. It must not assert: the
tests do.
"""

import base64
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from egress import ca, netns, proxy, servers
from egress.proxy import Reply
from ringfence import bedrock
from ringfence.api import EgressRule
from ringfence.api_identity import SEED_MODEL_ARNS
from ringfence.credentials.files import NONE, CredentialsFile
from ringfence.policy import Identity
from ringfence.resources.envoy_bedrock import SIGNING_PORT, Paths

Json = dict[str, Any]
_NUMBERS = itertools.count()
_T = TypeVar("_T")

REPOSITORY = Path(__file__).resolve().parents[3]
DOCUMENTS = REPOSITORY / "manifests" / "aws"
PYTHON = REPOSITORY / ".venv-aws" / "bin" / "python"
"""Where boto3, botocore and moto are; `make setup` makes it."""
ADDRESS = "203.0.113.20"
REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/agents/reporter"
MODEL = "anthropic.claude-3-haiku-20240307-v1:0"
SUBJECT = "system:serviceaccount:agents:reporter"
HOSTS = (bedrock.sts_host(REGION), bedrock.runtime_host(REGION))


def token(subject: str = SUBJECT, audience: str = bedrock.AUDIENCE) -> str:
    """A token as the API server would issue it, but for the signature."""
    claims = json.dumps({"sub": subject, "aud": [audience]}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.c2ln"


class Aws:
    """A running stand-in."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def requests(self, service: str = "") -> list[Json]:
        """What came in."""
        path = self.state / "requests.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        entries: list[Json] = [json.loads(line) for line in lines]
        return [e for e in entries if not service or e.get("service") == service]

    @contextmanager
    def failing(self, service: str, status: int, code: str, message: str) -> Iterator[None]:
        """Make a service refuse everything during the block."""
        path = self.state / "faults.json"
        path.write_text(json.dumps({service: [status, code, message]}))
        yield
        path.unlink()


@contextmanager
def aws(prefix: Sequence[str], state: Path, documents: Path = DOCUMENTS) -> Iterator[Aws]:
    """Run the stand-in with a role of these policies; the prefix puts it into a namespace."""
    ca.issue(HOSTS, state)
    command = [*prefix, str(PYTHON), "-W", "ignore", "-m", "aws.server", "--state", str(state)]
    command += ["--documents", str(documents)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tests" / "e2e")}
    with (state / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        poll(lambda: (state / "ready").exists() or process.poll() is not None, 30)
        if process.poll() is not None:
            raise RuntimeError((state / "output").read_text()[-2000:])
        yield Aws(state)
    finally:
        process.terminate()
        process.wait()


def poll(look: Callable[[], _T], seconds: float) -> _T:
    """The first answer that is true, or the last one."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


@dataclass
class World:
    """What a test works with."""

    netns: str
    directory: Path
    identity: Identity
    aws: Aws
    proxy: proxy.Proxy
    paths: Paths
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def keep_credentials(self, text: str | None = None, **changes: str) -> subprocess.Popen[bytes]:
        """Start the program that keeps the credentials, as the Pod does."""
        token_file = self.directory / "token"
        token_file.write_text(token() if text is None else text)
        options = {
            "--file": self.paths.credentials,
            "--token": str(token_file),
            "--role-arn": self.identity.role_arn,
            "--session": "demo",
            "--policy": bedrock.session_policy(self.identity.model_arns),
            "--sts": bedrock.sts_host(REGION),
            "--through": self.paths.socket,
            "--trusted": str(ca.ca()),
            "--termination-message": str(self.directory / "why"),
            **{f"--{name.replace('_', '-')}": value for name, value in changes.items()},
        }
        words = [word for option in options.items() for word in option]
        command = [sys.executable, "-m", "ringfence.credentials.main", *words]
        with (self.directory / "credentials.log").open("ab") as log:
            program = subprocess.Popen(command, stdout=log, stderr=log)
        self.programs.append(program)
        return program

    def filled(self) -> bool:
        """True if there are credentials in the end."""
        return poll(CredentialsFile(Path(self.paths.credentials), "shared").filled, 15)

    def stop_programs(self) -> None:
        """End what `keep_credentials` started."""
        while self.programs:
            program = self.programs.pop()
            program.terminate()
            program.wait()

    def why(self) -> str:
        """The termination message."""
        path = self.directory / "why"
        return path.read_text() if path.exists() else ""

    def boto3(self, program: str, environment: dict[str, str]) -> str:
        """Run a program that may import boto3, with this environment and nothing else."""
        done = netns.run(self.netns, [str(PYTHON), "-c", program], environment)
        if done.returncode:
            raise RuntimeError(done.stderr[-3000:])
        return done.stdout

    def ask(self, target: str, method: str = "POST", body: bytes = b"{}", head: str = "") -> Reply:
        """Send one request to the signing listener, byte for byte as given, and read the answer."""
        first = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{SIGNING_PORT}\r\n{head}"
        rest = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        reply = self.proxy.ask((first + rest).encode("latin-1") + body, SIGNING_PORT)
        reply.tunnel.close()
        return reply

    def reached(self) -> int:
        """How many requests the stand-in for Bedrock has seen."""
        return len(self.aws.requests("bedrock-runtime"))

    def calls(self) -> list[Json]:
        """The access log of the signing listener, complete."""
        time.sleep(0.6)
        return [line for line in self.proxy.log() if line["stage"] == "bedrock"]


@contextmanager
def signing_proxy(
    directory: Path, model_arns: tuple[str, ...] = SEED_MODEL_ARNS
) -> Iterator[World]:
    """Run everything until the block ends; credentials are not fetched yet."""
    identity = Identity("Proxy", ROLE, REGION, model_arns)
    for name in ("keys", "sts", "aws"):
        (directory / name).mkdir()
    paths = Paths(
        str(directory / "keys" / "credentials"), str(directory / "sts" / "socket"), str(ca.ca())
    )
    Path(paths.credentials).write_text(NONE)
    with ExitStack() as stack:
        fresh = f"rf-aws-{os.getpid()}-{next(_NUMBERS)}"
        name = stack.enter_context(netns.namespace(fresh, [f"{ADDRESS}/32"]))
        stack.enter_context(servers.dns(name, {host: [ADDRESS] for host in HOSTS}))
        stand_in = stack.enter_context(aws(["ip", "netns", "exec", name], directory / "aws"))
        rules = [EgressRule(host="allowed.example.test")]
        running = stack.enter_context(proxy.running(name, directory, rules, identity, paths))
        world = World(name, directory, identity, stand_in, running, paths)
        stack.callback(world.stop_programs)
        yield world
