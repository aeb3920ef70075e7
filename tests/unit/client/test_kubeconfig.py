"""Kubeconfigs, merged and chosen from as kubectl does it."""

from typing import Any

import pytest

from ringfence.client.kubeconfig import Unusable, choose, files, merge


def document(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}"}}],
        "users": [{"name": name, "user": {"token": name}}],
        **changes,
    }


def test_the_named_file_is_the_only_one() -> None:
    assert files("/a", {"KUBECONFIG": "/b:/c"}, "/home") == ["/a"]


def test_the_variable_lists_files_and_else_the_usual_one_counts() -> None:
    assert files(None, {"KUBECONFIG": "/b::/c"}, "/home") == ["/b", "/c"]
    assert files(None, {"KUBECONFIG": ""}, "/home") == ["/home/.kube/config"]


def test_first_file_that_says_something_wins_entry_by_entry() -> None:
    second = document("b")
    second["clusters"].append({"name": "a", "cluster": {"server": "https://other"}})
    merged = merge([("/1", document("a")), ("/2", second)])
    assert choose(merged, None).cluster["server"] == "https://a"
    assert choose(merged, "b").user == {"token": "b"}


def test_relative_paths_start_at_their_file() -> None:
    user = {"client-key": "k.pem", "client-certificate": "/abs/c.pem"}
    merged = merge([("/one", document("a", users=[{"name": "a", "user": user}]))])
    assert choose(merged, None).user == {
        "client-key": "/one/k.pem",
        "client-certificate": "/abs/c.pem",
    }


def test_namespace_of_the_context_or_default() -> None:
    contexts = [{"name": "a", "context": {"cluster": "a", "namespace": "mine"}}]
    chosen = choose(merge([("/", document("a", contexts=contexts))]), None)
    assert (chosen.namespace, chosen.user) == ("mine", {})
    assert choose(merge([("/", document("a"))]), None).namespace == "default"


@pytest.mark.parametrize(
    ("changes", "context", "said"),
    [
        ({}, "none", "no context 'none'; there are: a"),
        ({"current-context": ""}, None, "no context is current"),
        ({"clusters": []}, None, "no cluster 'a'; there are: none"),
        ({"users": None}, None, "no user 'a'"),
        ({"clusters": [{"name": "a", "cluster": {}}]}, None, "has no server"),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, Any], context: str | None, said: str) -> None:
    with pytest.raises(Unusable, match=said):
        choose(merge([("/", document("a", **changes))]), context)


def test_empty_file_is_no_error_by_itself() -> None:
    assert choose(merge([("/1", {}), ("/2", document("a"))]), None).cluster
