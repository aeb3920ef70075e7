"""The API client against an HTTP server, over the real client library."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web
from kubernetes.aio.config import incluster_config

from api_access import service_account, use_kubeconfig
from fake_api_server import FakeApiServer, status
from ringfence import kube
from ringfence.api import Json
from ringfence.kinds import (
    CONFIG_MAP,
    POD,
    SANDBOX,
    SANDBOX_CLASS,
    ApiError,
    Kind,
    collection_path,
    kind_of,
    object_path,
)
from ringfence.kube import Kube


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as serving:
        yield serving


@pytest.fixture
def calls() -> Counter[tuple[str, str, int]]:
    return Counter()


@pytest.fixture
async def api(
    server: FakeApiServer,
    calls: Counter[tuple[str, str, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Kube]:
    use_kubeconfig(monkeypatch, tmp_path, server.url)

    def count(verb: str, kind: str, code: int) -> None:
        calls[verb, kind, code] += 1

    async with kube.connect(4, count) as client:
        yield client


def _sandbox(name: str = "a", **labels: str) -> Json:
    return {
        "apiVersion": SANDBOX.api_version,
        "kind": "Sandbox",
        "metadata": {"namespace": "ns", "name": name, "labels": labels},
        "spec": {},
    }


def _pod() -> Json:
    meta = {"namespace": "ns", "name": "a"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"x": 1}}


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (POD, "/api/v1/namespaces/ns/pods/a"),
        (SANDBOX, "/apis/ringfence.dev/v1alpha1/namespaces/ns/sandboxes/a"),
        (SANDBOX_CLASS, "/apis/ringfence.dev/v1alpha1/sandboxclasses/a"),
    ],
)
def test_paths_are_those_of_the_api_server(kind: Kind, path: str) -> None:
    assert object_path(kind, "ns", "a") == path


def test_a_name_cannot_leave_its_collection() -> None:
    path = object_path(SANDBOX_CLASS, "", "../../v1/secrets?x")
    assert path == collection_path(SANDBOX_CLASS) + "/..%2F..%2Fv1%2Fsecrets%3Fx"


def test_an_object_of_a_strange_kind_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="v1 Secret is no kind that the operator writes"):
        kind_of({"apiVersion": "v1", "kind": "Secret"})


async def test_get_returns_the_object_or_none(server: FakeApiServer, api: Kube) -> None:
    stored = server.put("sandboxes", _sandbox())
    assert await api.get(SANDBOX, "ns", "a") == stored
    assert await api.get(SANDBOX, "ns", "b") is None


async def test_an_unknown_kind_is_not_taken_for_a_deleted_object(
    server: FakeApiServer, api: Kube
) -> None:
    server.fault = lambda _: web.Response(status=404, text="404 page not found")
    with pytest.raises(ApiError, match=r"get /apis/\S+/sandboxes/a: 404 page"):
        await api.get(SANDBOX, "ns", "a")


async def test_list_gathers_all_chunks_and_names_the_kind(server: FakeApiServer, api: Kube) -> None:
    for number in range(1203):
        server.put("sandboxes", {"metadata": {"namespace": "ns", "name": str(number)}})
    found = await api.list(SANDBOX)
    assert len({item["metadata"]["name"] for item in found}) == 1203
    assert {(item["apiVersion"], item["kind"]) for item in found} == {SANDBOX[:2]}
    assert server.counts["list sandboxes"] == 3


async def test_list_asks_the_server_to_filter_by_labels(server: FakeApiServer, api: Kube) -> None:
    server.put("sandboxes", _sandbox("a", team="x", tier="y"))
    server.put("sandboxes", _sandbox("b", team="x"))
    found = await api.list(SANDBOX, labels={"team": "x", "tier": "y"})
    assert [item["metadata"]["name"] for item in found] == ["a"]


async def test_apply_is_a_forced_strict_server_side_apply(server: FakeApiServer, api: Kube) -> None:
    applied = await api.apply(_pod())
    request = server.requests[-1]
    assert request.method == "PATCH"
    assert request.content_type == "application/apply-patch+yaml"
    assert dict(request.query) == {
        "fieldManager": "ringfence-operator",
        "force": "true",
        "fieldValidation": "Strict",
    }
    assert applied == server.objects["pods", "ns", "a"]


async def test_delete_spares_an_object_that_has_taken_the_name(
    server: FakeApiServer, api: Kube
) -> None:
    uid = server.put("pods", _pod())["metadata"]["uid"]
    await api.delete(POD, "ns", "a", uid="another")
    assert ("pods", "ns", "a") in server.objects
    await api.delete(POD, "ns", "a", uid=uid)
    assert ("pods", "ns", "a") not in server.objects
    await api.delete(POD, "ns", "a", uid=uid)


async def test_a_status_is_not_written_over_a_newer_object(
    server: FakeApiServer, api: Kube
) -> None:
    read = server.put("sandboxes", _sandbox())
    written = await api.replace_status({**read, "status": {"phase": "Running"}})
    assert written["status"] == {"phase": "Running"}
    with pytest.raises(ApiError) as caught:
        await api.replace_status({**read, "status": {}})
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")


async def test_an_event_that_exists_already_is_no_error(server: FakeApiServer, api: Kube) -> None:
    event = {"metadata": {"namespace": "ns", "name": "a.1"}, "note": "x"}
    await api.create_event(event)
    await api.create_event(event)
    assert server.counts["POST events"] == 2


async def test_an_error_says_which_field_and_when_to_come_back(
    server: FakeApiServer, api: Kube
) -> None:
    causes = [{"field": "spec.x", "message": "unknown"}]
    server.fault = lambda _: status(
        429, "TooManyRequests", "slow down", causes=causes, retryAfterSeconds=7
    )
    with pytest.raises(ApiError) as caught:
        await api.apply(_pod())
    error = caught.value
    assert (error.status, error.reason, error.message) == (
        429,
        "TooManyRequests",
        "slow down",
    )
    assert (error.causes, error.retry_after) == (causes, 7.0)


@pytest.mark.parametrize(("header", "expected"), [("3", 3.0), ("soon", None)])
async def test_a_retry_after_header_is_read_if_it_is_a_number(
    server: FakeApiServer, api: Kube, header: str, expected: float | None
) -> None:
    server.fault = lambda _: web.Response(status=503, headers={"Retry-After": header})
    with pytest.raises(ApiError) as caught:
        await api.get(POD, "ns", "a")
    assert caught.value.retry_after == expected
    assert caught.value.reason == "HTTP503"


async def test_a_call_is_made_once_even_when_it_fails(server: FakeApiServer, api: Kube) -> None:
    server.fault = lambda _: status(500, "InternalError")
    with pytest.raises(ApiError):
        await api.get(POD, "ns", "a")
    assert len(server.requests) == 1


async def test_no_answer_is_an_api_error_without_status(
    server: FakeApiServer, api: Kube, calls: Counter[tuple[str, str, int]]
) -> None:
    await server.close()
    with pytest.raises(ApiError) as caught:
        await api.get(POD, "ns", "a")
    assert (caught.value.status, caught.value.reason) == (0, "Unreachable")
    assert calls["get", "Pod", 0] == 1


async def test_a_server_that_does_not_answer_is_given_up(
    server: FakeApiServer, api: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube, "_TIMEOUT", aiohttp.ClientTimeout(total=0.05))
    released = asyncio.Event()
    server.hold = lambda _: released.wait()
    with pytest.raises(ApiError) as caught:
        await api.get(POD, "ns", "a")
    released.set()
    assert caught.value.reason == "Timeout"


async def test_every_call_is_counted_by_verb_kind_and_code(
    api: Kube, calls: Counter[tuple[str, str, int]]
) -> None:
    await api.get(SANDBOX, "ns", "a")
    await api.list(CONFIG_MAP)
    await api.apply(_pod())
    assert calls == {
        ("get", "Sandbox", 404): 1,
        ("list", "ConfigMap", 200): 1,
        ("apply", "Pod", 200): 1,
    }


async def test_calls_carry_the_token_and_name_the_operator(
    server: FakeApiServer, api: Kube
) -> None:
    await api.get(SANDBOX, "ns", "a")
    headers = server.requests[-1].headers
    assert headers["Authorization"] == "Bearer of-the-kubeconfig"
    assert headers["User-Agent"].startswith("ringfence-operator/")


async def test_a_rotated_service_account_token_is_used_within_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = service_account(tmp_path)
    async with FakeApiServer(files.tls()) as server:
        files.use(monkeypatch, server.url)
        async with kube.connect(1, lambda *_: None) as api:
            await api.get(POD, "ns", "a")
            files.token.write_text("second")
            await api.get(POD, "ns", "a")
            _let_a_minute_pass(monkeypatch)
            await api.get(POD, "ns", "a")
    sent = [request.headers["Authorization"] for request in server.requests]
    assert sent == ["bearer first", "bearer first", "bearer second"]


def _let_a_minute_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    class Later(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "Later":
            return super().now(tz) + dt.timedelta(seconds=61)

    later = SimpleNamespace(datetime=Later, timedelta=dt.timedelta)
    monkeypatch.setattr(incluster_config, "datetime", later)


async def test_the_watcher_gets_the_same_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = service_account(tmp_path)
    files.use(monkeypatch, "https://127.0.0.1:6443")
    login = await kube.login()
    assert login == ("https://127.0.0.1:6443", str(files.certificate), "first", None, None, False)


async def test_create_never_takes_over_an_object_of_the_same_name(
    server: FakeApiServer, api: Kube
) -> None:
    created = await api.create(_sandbox())
    assert created["metadata"]["uid"]
    with pytest.raises(ApiError, match="409 AlreadyExists"):
        await api.create(_sandbox())
    assert server.counts["POST sandboxes"] == 2
