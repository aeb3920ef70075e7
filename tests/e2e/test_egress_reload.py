"""The egress proxy as a process: it follows a changed allowlist, keeps its limits, and logs.

The same world as in `test_egress_proxy.py`.
"""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from egress.world import (
    ALLOWED,
    EXTRA,
    OTHER,
    PUBLIC,
    REASON,
    RELOAD,
    RULES,
    World,
    answer_in_tunnel,
    client_hello,
    open_tunnel,
    reached,
    small_internet,
    until,
)
from ringfence.api import EgressRule
from ringfence.resources.envoy_common import MAX_CHAINS, MAX_CONNECTIONS


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with small_internet(tmp_path_factory.mktemp("egress")) as running:
        yield running


# --- a changed allowlist -------------------------------------------------------------------


@pytest.fixture
def changed(world: World) -> Iterator[World]:
    """Restore the allowlist after a test that changes it."""
    yield world
    world.proxy.allow(RULES)
    until(lambda: reached(world, ALLOWED) and reached(world, "a.suffix.test"), RELOAD)
    until(lambda: world.proxy.status(f"{EXTRA}:443") == 403, RELOAD)


def test_a_changed_allowlist_takes_effect_without_a_restart(changed: World) -> None:
    process = changed.proxy.process
    changed.proxy.allow([*RULES, EgressRule(host=EXTRA)])
    until(lambda: reached(changed, EXTRA), RELOAD)
    changed.proxy.allow([EgressRule(host=EXTRA)])
    until(lambda: changed.proxy.status(f"{ALLOWED}:443") == 403, RELOAD)
    assert reached(changed, EXTRA)
    assert process.poll() is None


def test_an_empty_allowlist_refuses_everything_and_can_be_filled_again(changed: World) -> None:
    changed.proxy.allow([])
    until(lambda: changed.proxy.status(f"{ALLOWED}:443") == 403, RELOAD)
    assert changed.proxy.connect("a.suffix.test:443").reason == REASON
    changed.proxy.allow(RULES)
    until(lambda: reached(changed, ALLOWED), RELOAD)


def test_a_very_long_allowlist_lets_out_its_hosts_and_no_others(changed: World) -> None:
    long = [EgressRule(host=f"h{n}.example.test", ports=tuple(range(443, 451))) for n in range(60)]
    changed.proxy.allow([*RULES, *long, EgressRule(host=EXTRA)])
    until(lambda: reached(changed, EXTRA), RELOAD)
    assert reached(changed, "a.suffix.test")
    assert changed.proxy.status(f"{OTHER}:443") == 403
    assert answer_in_tunnel(changed, client_hello(EXTRA)) == b""


def answers(tunnel: ssl.SSLSocket, host: str) -> bool:
    tunnel.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return tunnel.recv(12) == b"HTTP/1.1 200"


def ends(tunnel: ssl.SSLSocket) -> bool:
    tunnel.settimeout(4)
    return tunnel.recv(1) == b""


def test_a_removed_host_loses_its_open_tunnels_and_the_others_keep_theirs(changed: World) -> None:
    with open_tunnel(changed, ALLOWED) as kept, open_tunnel(changed, "a.suffix.test") as cut:
        changed.proxy.allow([EgressRule(host=ALLOWED), EgressRule(host=EXTRA)])
        assert ends(cut)
        assert answers(kept, ALLOWED)


def test_a_new_port_opens_and_cuts_no_tunnel(changed: World) -> None:
    with open_tunnel(changed, ALLOWED) as kept, open_tunnel(changed, "a.suffix.test") as cut:
        new = EgressRule(host=EXTRA, ports=(8443,))
        changed.proxy.allow([EgressRule(host=ALLOWED), new])
        until(lambda: reached(changed, EXTRA, port=8443), RELOAD)
        assert ends(cut)
        assert answers(kept, ALLOWED)


def test_a_removed_port_loses_its_open_tunnels_and_the_hosts_others_stay(changed: World) -> None:
    with open_tunnel(changed, ALLOWED) as kept, open_tunnel(changed, ALLOWED, port=8443) as cut:
        changed.proxy.allow([EgressRule(host=ALLOWED)])
        assert ends(cut)
        assert answers(kept, ALLOWED)


def test_a_name_of_its_own_outlives_the_suffix_rule_above_it(changed: World) -> None:
    own = EgressRule(host="a.suffix.test")
    changed.proxy.allow([*RULES, own, EgressRule(host=EXTRA)])
    until(lambda: reached(changed, EXTRA), RELOAD)
    with (
        open_tunnel(changed, "a.suffix.test") as kept,
        open_tunnel(changed, "b.suffix.test") as cut,
    ):
        changed.proxy.allow([own, EgressRule(host=ALLOWED)])
        assert ends(cut)
        assert answers(kept, "a.suffix.test")


def test_a_host_removed_from_a_very_long_allowlist_loses_its_open_tunnels(changed: World) -> None:
    long = [EgressRule(host=f"h{n}.example.test") for n in range(MAX_CHAINS)]
    changed.proxy.allow([*long, EgressRule(host=ALLOWED), EgressRule(host=EXTRA)])
    until(lambda: reached(changed, EXTRA), RELOAD)
    with open_tunnel(changed, ALLOWED) as cut:
        changed.proxy.allow([*long, EgressRule(host=EXTRA)])
        assert ends(cut)


# --- limits --------------------------------------------------------------------------------


def test_connections_beyond_the_limit_are_refused_and_the_proxy_recovers(world: World) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(world.proxy.dial()) for _ in range(MAX_CONNECTIONS)]
        assert len(held) == MAX_CONNECTIONS
        until(lambda: not reached(world, ALLOWED), 2)
    until(lambda: reached(world, ALLOWED), 2)


# --- the process itself --------------------------------------------------------------------


def test_the_proxy_listens_on_loopback_and_nowhere_else(world: World) -> None:
    listening = [
        line.split()[1]
        for line in Path(f"/proc/{world.proxy.process.pid}/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].partition(":")[2], 16) not in {443, 8443}
    ]
    assert listening == ["0100007F:0C38"]
    ipv6 = Path(f"/proc/{world.proxy.process.pid}/net/tcp6").read_text().splitlines()[1:]
    assert ipv6 == []


def test_the_proxy_takes_two_of_the_nodes_inotify_instances_at_most(world: World) -> None:
    assert 1 <= world.proxy.inotify_instances() <= 2


def test_the_proxy_stays_within_its_memory(world: World) -> None:
    assert world.proxy.rss_mib() < 96


def test_every_connection_leaves_one_line_of_the_access_log(world: World) -> None:
    world.proxy.get("a.suffix.test", world.trust)
    answer_in_tunnel(world, client_hello("b.suffix.test"), "a.suffix.test")
    answer_in_tunnel(world, client_hello(OTHER))
    answer_in_tunnel(world, b"SSH-2.0-OpenSSH_9.2\r\n", "b.suffix.test")
    world.proxy.connect("logged.example.test:443")

    def line(**wanted: str | None) -> dict[str, Any]:
        return [entry for entry in world.proxy.log() if wanted.items() <= entry.items()][-1]

    until(lambda: world.proxy.log()[-1]["host"] == "logged.example.test:443", 2)
    refused = line(host="logged.example.test:443", stage="connect")
    mismatch = line(host="a.suffix.test:443", sni="b.suffix.test", stage="tunnel")
    unlisted = line(host=f"{ALLOWED}:443", sni=OTHER, stage="tunnel")
    no_tls = line(host="b.suffix.test:443", sni=None, stage="tunnel")
    passed = line(host="a.suffix.test:443", sni="a.suffix.test", stage="tunnel")
    assert refused["code"] == 403
    assert mismatch["details"].startswith("rbac_access_denied")
    assert (unlisted["flags"], unlisted["address"]) == ("NR", None)
    assert (no_tls["bytes_out"], no_tls["address"]) == (0, None)
    assert passed["address"] == f"{PUBLIC}:443"
    assert passed["bytes_out"] > 500
