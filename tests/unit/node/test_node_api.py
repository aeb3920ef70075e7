"""The small client of the API server, against a real TLS server in a thread."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api_access import service_account
from ringfence.node import api
from ringfence.node.api import Access, ApiError, Client, Unreachable
from scripted_server import Answer, Request, ScriptedServer


def _echo(request: Request) -> Answer:
    return 200, {"path": request.path}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ScriptedServer]:
    with ScriptedServer(service_account(tmp_path), _echo) as started:
        yield started


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    client = Client(server.access)
    yield client
    client.close()


def test_object_is_returned(client: Client) -> None:
    assert client.get("/api/v1/nodes/a") == {"path": "/api/v1/nodes/a"}


def test_renewed_token_is_used_at_once(client: Client, server: ScriptedServer) -> None:
    client.get("/a")
    (server.access.account / "token").write_text("second\n")
    client.get("/b")
    assert [request.token for request in server.requests] == ["first", "second"]


def test_apply_is_server_side_and_by_force(client: Client, server: ScriptedServer) -> None:
    client.apply("/a", "ringfence-node", {"kind": "A"})
    (request,) = server.requests
    assert request.method == "PATCH"
    assert request.kind == "application/apply-patch+yaml"
    assert request.path == "/a?fieldManager=ringfence-node&force=true"
    assert request.body == {"kind": "A"}


def test_patch_is_strategic(client: Client, server: ScriptedServer) -> None:
    client.patch("/a", "ringfence-node", {"x": 1})
    assert server.requests[0].kind == "application/strategic-merge-patch+json"


def test_refusal_is_told_in_the_servers_words(client: Client, server: ScriptedServer) -> None:
    server.answer = lambda _: (403, {"kind": "Status", "message": "not you"})
    with pytest.raises(ApiError, match="403: not you") as refused:
        client.get("/a")
    assert refused.value.code == 403


def test_answer_of_something_else_is_no_answer(client: Client, server: ScriptedServer) -> None:
    server.answer = lambda _: (502, "<html>bad gateway</html>")
    with pytest.raises(Unreachable):
        client.get("/a")


def test_next_call_after_a_failure_opens_a_new_connection(
    client: Client, server: ScriptedServer
) -> None:
    server.answer = lambda _: (200, "{")
    with pytest.raises(Unreachable):
        client.get("/a")
    server.answer = _echo
    assert client.get("/b") == {"path": "/b"}


def test_server_without_our_certificate_gets_no_token(tmp_path: Path) -> None:
    stranger, ours = tmp_path / "stranger", tmp_path / "ours"
    for directory in (stranger, ours):
        directory.mkdir()
    account = service_account(ours).token.parent
    with ScriptedServer(service_account(stranger), _echo) as server:
        client = Client(Access(server.access.host, server.access.port, account))
        with pytest.raises(Unreachable, match="certificate"):
            client.get("/a")
        assert server.requests == []


def test_nobody_listening_is_told(tmp_path: Path) -> None:
    files = service_account(tmp_path)
    with pytest.raises(Unreachable):
        Client(Access("127.0.0.1", 1, files.token.parent)).get("/a")


def test_events_of_a_watch_come_one_by_one(server: ScriptedServer) -> None:
    events = [{"type": "ADDED", "object": {}}, {"type": "BOOKMARK", "object": {}}]
    server.answer = lambda _: events
    found = list(api.watch(server.access, "/api/v1/pods", {"resourceVersion": "5"}))
    assert found == events
    path = server.requests[0].path
    assert path.startswith("/api/v1/pods?resourceVersion=5&watch=1&allowWatchBookmarks=true")


@pytest.mark.parametrize("inside", [True, False])
def test_version_that_is_too_old_is_told(server: ScriptedServer, inside: bool) -> None:  # noqa: FBT001
    status = {"kind": "Status", "code": 410, "message": "too old"}
    server.answer = lambda _: [{"type": "ERROR", "object": status}] if inside else (410, status)
    with pytest.raises(ApiError) as gone:
        list(api.watch(server.access, "/api/v1/pods", {}))
    assert gone.value.code == 410


def test_half_an_event_is_no_event(server: ScriptedServer) -> None:
    server.answer = lambda _: ['{"type": "ADDED", "obj']
    with pytest.raises(Unreachable):
        list(api.watch(server.access, "/api/v1/pods", {}))


def test_access_is_what_the_kubelet_says() -> None:
    given = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    access = Access.from_environment(given)
    assert (access.host, access.port) == ("10.96.0.1", 443)
