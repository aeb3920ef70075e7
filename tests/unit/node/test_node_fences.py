"""Packet filters of Pods: installed once, put in place again when changed, let go with the Pod."""

import logging

import pytest

from fake_node import FakeFilter, FakeNetworks
from node_samples import NAMESPACES, POD_UID, pod, pod_body
from ringfence.node.fence import Destination
from ringfence.node.fences import INOTIFY_INSTANCES, Fences, Repairs
from ringfence.node.pods import sandbox_pod

NET, USER = NAMESPACES["net"], NAMESPACES["user"]
WHERE = Destination(30001, "tcp", "203.0.113.10", 443)


@pytest.fixture
def networks() -> FakeNetworks:
    return FakeNetworks()


@pytest.fixture
def fences(networks: FakeNetworks) -> Fences:
    return networks.fences()


def _filter(networks: FakeNetworks) -> FakeFilter:
    (found,) = networks.filters.values()
    return found


def test_filter_is_installed_once(fences: Fences, networks: FakeNetworks) -> None:
    assert fences.care(pod(), {NET: 7}) == Repairs(installed=1)
    assert fences.care(pod(), {NET: 7}) == Repairs()
    assert _filter(networks).installed == 1
    assert "ip daddr 10.96.0.10" in _filter(networks).rules
    assert fences.is_fenced(POD_UID, NET)


def test_changed_filter_wakes_the_agent_and_is_put_in_place_again(
    fences: Fences, networks: FakeNetworks, caplog: pytest.LogCaptureFixture
) -> None:
    fences.care(pod(), {NET: 7})
    _filter(networks).alter()
    assert fences.changes() == {POD_UID}
    with caplog.at_level(logging.WARNING):
        assert fences.care(pod(), {NET: 7}) == Repairs(repaired=1)
    assert "packet filter was changed" in caplog.text
    assert _filter(networks).installed == 2


def test_second_network_of_a_pod_is_fenced_and_the_first_let_go(
    fences: Fences, networks: FakeNetworks
) -> None:
    fences.care(pod(), {NET: 7})
    fences.care(pod(), {"net:[2]": 8})
    assert networks.filters[NET].closed
    assert not fences.is_fenced(POD_UID, NET)
    assert fences.is_fenced(POD_UID, "net:[2]")


def test_process_that_has_gone_fences_nothing(fences: Fences) -> None:
    assert fences.care(pod(), {NET: 0}) == Repairs()
    assert not fences.is_fenced(POD_UID, NET)


def test_pod_that_asks_for_none_gets_none(fences: Fences, networks: FakeNetworks) -> None:
    body = pod_body()
    del body["spec"]["initContainers"][0]["env"][1]
    assert fences.care(sandbox_pod(body), {NET: 7}) == Repairs()
    assert not networks.filters


def test_filters_of_pods_that_went_are_let_go(fences: Fences, networks: FakeNetworks) -> None:
    fences.care(pod(), {NET: 7})
    fences.keep([POD_UID])
    assert fences.is_fenced(POD_UID, NET)
    fences.keep([])
    assert _filter(networks).closed
    assert fences.changes() == set()


def test_inotify_is_limited_once_for_each_user_namespace(
    fences: Fences, networks: FakeNetworks
) -> None:
    fences.limit(pod(), {USER: 7})
    networks.inotify.clear()
    fences.limit(pod(), {USER: 7, "user:[2]": 8})
    assert networks.inotify == {8: INOTIFY_INSTANCES}


def test_refused_packets_are_told_once(fences: Fences, networks: FakeNetworks) -> None:
    fences.care(pod(), {NET: 7})
    assert fences.refused(POD_UID) == (0, {})
    _filter(networks).packets = {WHERE: 3}
    assert fences.refused(POD_UID) == (3, {WHERE: 3})
    assert fences.refused(POD_UID) == (0, {})
    _filter(networks).packets = {WHERE: 1}  # the filter was put in place anew meanwhile
    assert fences.refused(POD_UID) == (1, {WHERE: 1})
