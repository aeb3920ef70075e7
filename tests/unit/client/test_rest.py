"""Objects and logs through the blocking client."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from fake_api_server import status
from local_cluster import LocalCluster, local_cluster, sandbox
from ringfence.client import rest as rest_module
from ringfence.client.rest import Rest
from ringfence.kinds import SANDBOX, ApiError


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with local_cluster(tmp_path) as found:
        yield found


@pytest.fixture
def rest(cluster: LocalCluster) -> Iterator[Rest]:
    with Rest(cluster.access()) as found:
        yield found


def test_objects_are_created_listed_and_deleted(cluster: LocalCluster, rest: Rest) -> None:
    made = rest.create(sandbox("other"))
    assert [obj["metadata"]["name"] for obj in rest.list(SANDBOX, "agents")] == ["demo", "other"]
    rest.delete(SANDBOX, "agents", "other", made["metadata"]["uid"])
    rest.delete(SANDBOX, "agents", "other", made["metadata"]["uid"])
    assert rest.get(SANDBOX, "agents", "other") is None
    assert cluster.api.requests[0].query["fieldValidation"] == "Strict"


def test_long_lists_come_in_chunks(
    cluster: LocalCluster, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_module, "_CHUNK", 2)
    for number in range(5):
        cluster.api.put("sandboxes", sandbox(f"s{number}"))
    assert len(rest.list(SANDBOX)) == 6


def test_another_object_of_the_same_name_is_not_deleted(rest: Rest) -> None:
    rest.delete(SANDBOX, "agents", "demo", "another")
    assert rest.get(SANDBOX, "agents", "demo")


def test_unknown_kind_is_no_missing_object(cluster: LocalCluster, rest: Rest) -> None:
    cluster.api.fault = lambda _: web.Response(status=404, text="404 page not found")
    with pytest.raises(ApiError, match="404 page not found"):
        rest.get(SANDBOX, "agents", "demo")


def test_refusal_is_told_in_the_words_of_the_server(cluster: LocalCluster, rest: Rest) -> None:
    cluster.api.fault = lambda _: status(403, "Forbidden", "you may not")
    with pytest.raises(ApiError, match="403 Forbidden: you may not"):
        rest.create(sandbox("x"))


def test_connection_that_died_meanwhile_is_made_anew_for_reading(
    cluster: LocalCluster, rest: Rest
) -> None:
    assert rest.get(SANDBOX, "agents", "demo")
    assert rest._connection is not None
    assert rest._connection.sock is not None
    rest._connection.sock.close()
    assert rest.get(SANDBOX, "agents", "demo")
    assert cluster.api.counts["GET sandboxes"] == 2


def test_log_comes_in_pieces(cluster: LocalCluster, rest: Rest) -> None:
    cluster.log = b"line\n" * 50_000
    with rest.log("agents", "demo", {"container": "agent", "tailLines": "5"}) as pieces:
        assert b"".join(pieces) == cluster.log
    assert dict(cluster.execs[-1].query) == {"container": "agent", "tailLines": "5"}


def test_log_that_is_not_there_is_an_error(cluster: LocalCluster) -> None:
    cluster.log = None
    with (
        Rest(cluster.access()) as rest,
        pytest.raises(ApiError, match="no such container"),
        rest.log("agents", "demo", {}) as pieces,
    ):
        list(pieces)
