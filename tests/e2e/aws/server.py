"""Serves STS, IAM and the Bedrock runtime of one region over TLS, as a program in a namespace.

moto answers for STS and IAM; in front of it the role's trust policy is applied to the token, which
moto leaves out. A model answers only to a valid signature (computed anew by botocore), with
credentials that moto gave out and that have not expired, and within role, boundary and session.
What came in is logged as JSON lines; `faults.json` makes a service fail. No model is asked.
"""

import argparse
import base64
import binascii
import hashlib
import json
import re
import ssl
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl, unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.test import Client

from aws import policies

Json = dict[str, Any]
TEXT = "hello from {model}"
CHUNKS = 5
GAP_SECONDS = 0.3
_ALGORITHM = "AWS4-HMAC-SHA256"


class RefusedError(Exception):
    """What AWS would refuse: status, code, message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Accounts:
    """moto's IAM and STS, and the credentials that were given out."""

    def __init__(self) -> None:
        self._moto = Client(DomainDispatcherApplication(create_backend_app))
        self._sessions: dict[str, Json] = {}

    def pass_on(self, method: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """What moto answers."""
        answer = self._moto.open("/", method=method, headers=dict(headers), data=body)
        return answer.status_code, answer.get_data()

    def assume(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """AssumeRoleWithWebIdentity, if the role trusts the token."""
        form = dict(parse_qsl(body.decode()))
        role = self._role(form["RoleArn"].rpartition("/")[2])
        claims = _claims(form["WebIdentityToken"])
        if not policies.trusts(role["trust"], claims):
            message = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
            raise RefusedError(403, "AccessDenied", message)
        status, answer = self.pass_on("POST", headers, body)
        text = answer.decode()
        session = {
            "secret": _element(text, "SecretAccessKey"),
            "token": _element(text, "SessionToken"),
            "expires": datetime.fromisoformat(_element(text, "Expiration")),
            "policies": [*role["policies"], json.loads(form["Policy"])],
            "seconds": int(form["DurationSeconds"]),
        }
        self._sessions[_element(text, "AccessKeyId")] = session
        return status, answer

    def session(self, access_key_id: str) -> Json:
        """What belongs to an access key."""
        found = self._sessions.get(access_key_id)
        if found is None or found["expires"] < datetime.now(UTC):
            message = "The security token included in the request is invalid."
            raise RefusedError(403, "UnrecognizedClientException", message)
        return found

    def _role(self, name: str) -> Json:
        """Trust policy, permission policy and boundary, as moto's IAM has them."""
        role = self._iam("GetRole", RoleName=name)
        trust = json.loads(unquote(_element(role, "AssumeRolePolicyDocument")))
        inline = self._iam("GetRolePolicy", RoleName=name, PolicyName="bedrock")
        boundary = _element(role, "PermissionsBoundaryArn")
        limit = self._iam("GetPolicyVersion", PolicyArn=boundary, VersionId="v1")
        documents = (_element(inline, "PolicyDocument"), _element(limit, "Document"))
        return {"trust": trust, "policies": [json.loads(unquote(d)) for d in documents]}

    def _iam(self, action: str, **fields: str) -> str:
        return self.administer("iam", Action=action, Version="2010-05-08", **fields)

    def administer(self, service: str, **fields: str) -> str:
        """An administrator's call, which moto takes without a real signature."""
        scope = f"AKIATEST/20260101/us-east-1/{service}/aws4_request"
        headers = {
            "Host": f"{service}.amazonaws.com",
            "Authorization": f"{_ALGORITHM} Credential={scope}, SignedHeaders=host, Signature=x",
        }
        answer = self._moto.open("/", method="POST", headers=headers, data=fields)
        if answer.status_code != 200:
            raise RefusedError(404, "AccessDenied", answer.get_data(as_text=True)[:300])
        text: str = answer.get_data(as_text=True)
        return text


def _element(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    if found is None:
        raise RefusedError(500, "InternalFailure", f"moto says no {name}: {text[:300]}")
    return found[1]


def _claims(token: str) -> dict[str, str]:
    """Subject and audience of a token; its signature is the business of the real STS."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        (audience,) = claims["aud"]
    except (LookupError, ValueError) as error:
        raise RefusedError(400, "InvalidIdentityToken", "not a token") from error
    return {"sub": claims["sub"], "aud": audience}


class _Verifier(SigV4Auth):  # type: ignore[misc] # botocore has no annotations
    """botocore's own signature, over the headers that the request says are signed."""

    def headers_to_sign(self, request: Any) -> Any:
        """All: botocore itself would leave some out."""
        headers = HTTPHeaders()
        for name, value in request.headers.items():
            headers[name] = value
        return headers


class Request:
    """A request to the Bedrock runtime."""

    def __init__(self, target: str, headers: Mapping[str, str], body: bytes) -> None:
        self.target, self.headers, self.body = target, headers, body

    def caller(self, accounts: Accounts, region: str) -> Json:
        """The session that signed it."""
        found = re.fullmatch(
            _ALGORITHM + r" Credential=([^/]+)/[^,]+, *SignedHeaders=([^,]+), *Signature=(\w+)",
            self.headers.get("authorization", ""),
        )
        if found is None:
            raise RefusedError(403, "MissingAuthenticationTokenException", "not signed")
        session = accounts.session(found[1])
        expected = self._signature(found[1], session, region, found[2].split(";"))
        if expected != found[3] or self.headers.get("x-amz-security-token") != session["token"]:
            raise RefusedError(403, "InvalidSignatureException", "the signature does not match")
        return session

    def _signature(self, key: str, session: Json, region: str, signed: list[str]) -> str:
        if not {"host", "x-amz-date", "x-amz-security-token"} <= set(signed):
            raise RefusedError(403, "InvalidSignatureException", "too few headers are signed")
        if self.headers["x-amz-content-sha256"] != hashlib.sha256(self.body).hexdigest():
            raise RefusedError(403, "InvalidSignatureException", "the body was not signed")
        url = f"https://{self.headers['host']}{self.target}"
        headers = {name: self.headers[name] for name in signed}
        request = AWSRequest("POST", url, headers, self.body)
        request.context["timestamp"] = self.headers["x-amz-date"]
        credentials = Credentials(key, session["secret"], session["token"])
        signer = _Verifier(credentials, "bedrock", region)
        canonical = signer.canonical_request(request)
        signature: str = signer.signature(signer.string_to_sign(request, canonical), request)
        return signature

    def model(self, region: str) -> tuple[str, str, str]:
        """Action, ARN and name of what is asked for."""
        found = re.fullmatch(r"/model/([^/]+)/(invoke|invoke-with-response-stream)", self.target)
        if found is None:
            raise RefusedError(404, "UnknownOperationException", self.target)
        name = unquote(found[1])
        action = "InvokeModel" if found[2] == "invoke" else "InvokeModelWithResponseStream"
        arn = f"arn:aws:bedrock:{region}::foundation-model/{name}"
        return f"bedrock:{action}", name if name.startswith("arn:") else arn, name


def frame(payload: bytes) -> bytes:
    """One message of an event stream."""
    fields = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack("!B", len(k)) + k.encode() + struct.pack("!BH", 7, len(v)) + v.encode()
        for k, v in fields.items()
    )
    prelude = struct.pack("!II", len(payload) + len(headers) + 16, len(headers))
    prelude += struct.pack("!I", binascii.crc32(prelude))
    message = prelude + headers + payload
    return message + struct.pack("!I", binascii.crc32(message))


def _events(text: str) -> Iterator[bytes]:
    for number in range(CHUNKS):
        event = json.dumps({"type": "content_block_delta", "delta": {"text": f"{text} {number}"}})
        yield frame(json.dumps({"bytes": base64.b64encode(event.encode()).decode()}).encode())


class Aws(ThreadingHTTPServer):
    """The HTTPS server of all three."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], state: Path, region: str) -> None:
        self.accounts, self.state, self.region = Accounts(), state, region
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(state / "server.pem", state / "server.key")
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without a look-up of the own name: nobody would answer."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Make the handshake in the connection's own thread."""
        request.settimeout(60)
        with self._context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (inherited)
        """Log what went wrong as a line."""
        self.record({"error": repr(sys.exc_info()[1])})

    def record(self, entry: Json) -> None:
        """Append to the log."""
        with (self.state / "requests.jsonl").open("a") as log:
            log.write(json.dumps({"time": time.time(), **entry}) + "\n")

    def fail_if_told(self, service: str) -> None:
        """Fail as `faults.json` says."""
        path = self.state / "faults.json"
        fault = json.loads(path.read_text()).get(service) if path.exists() else None
        if fault:
            raise RefusedError(*fault)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Aws

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        service = headers["host"].partition(".")[0]
        self.server.record({"service": service, "target": self.path, "headers": headers})
        try:
            self.server.fail_if_told(service)
            if service == "bedrock-runtime":
                self._invoke(Request(self.path, headers, body))
            elif b"Action=AssumeRoleWithWebIdentity" in body:
                self._answer(*self.server.accounts.assume(headers, body), "text/xml")
            else:
                self._answer(*self.server.accounts.pass_on("POST", headers, body), "text/xml")
        except RefusedError as refusal:
            self._refuse(service, refusal)

    def _invoke(self, request: Request) -> None:
        region = self.server.region
        session = request.caller(self.server.accounts, region)
        action, arn, name = request.model(region)
        if not policies.allows(session["policies"], action, arn):
            message = f"not authorized to perform: {action} on resource: {arn}"
            raise RefusedError(403, "AccessDeniedException", message)
        text = TEXT.format(model=name)
        if action == "bedrock:InvokeModel":
            answer = {"content": [{"type": "text", "text": text}], "received": len(request.body)}
            self._answer(200, json.dumps(answer).encode(), "application/json")
        else:
            self._stream(text)

    def _stream(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.amazon.eventstream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for message in _events(text):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(message), message))
            self.wfile.flush()
            time.sleep(GAP_SECONDS)
        self.wfile.write(b"0\r\n\r\n")

    def _refuse(self, service: str, refusal: RefusedError) -> None:
        code, message = refusal.code, refusal.message
        if service == "bedrock-runtime":
            body = json.dumps({"message": message}).encode()
            self._answer(refusal.status, body, "application/json", code)
        else:
            error = f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>"
            text = f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
            self._answer(refusal.status, text.encode(), "text/xml")

    def _answer(self, status: int, body: bytes, kind: str, error: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if error:
            self.send_header("x-amzn-ErrorType", error)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (inherited name)
        """Write nothing: `record` is the log."""


def make_role(accounts: Accounts, name: str, documents: Path) -> None:
    """An administrator makes the role from the files of manifests/aws."""
    trust, permissions, boundary = (
        (documents / f"{part}.json").read_text()
        for part in ("trust-policy", "permission-policy", "permissions-boundary")
    )
    common = {"Version": "2010-05-08"}
    made = accounts.administer(
        "iam", Action="CreatePolicy", PolicyName="boundary", PolicyDocument=boundary, **common
    )
    accounts.administer(
        "iam",
        Action="CreateRole",
        RoleName=name,
        Path="/agents/",
        AssumeRolePolicyDocument=trust,
        PermissionsBoundary=_element(made, "Arn"),
        **common,
    )
    accounts.administer(
        "iam",
        Action="PutRolePolicy",
        RoleName=name,
        PolicyName="bedrock",
        PolicyDocument=permissions,
        **common,
    )


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="203.0.113.20", help="where to listen")
    parser.add_argument("--state", type=Path, required=True, help="certificate, log, faults")
    parser.add_argument("--region", default="us-east-1", help="region of all services")
    parser.add_argument("--documents", type=Path, required=True, help="directory of the policies")
    options = parser.parse_args()
    server = Aws((options.address, 443), options.state, options.region)
    make_role(server.accounts, "reporter", options.documents)
    (options.state / "ready").touch()
    server.serve_forever()


if __name__ == "__main__":
    main()
