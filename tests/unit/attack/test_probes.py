"""What single probes make of what they meet: servers, limits, files."""

import errno
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from attack.test_program import run
from ringfence.attack.probes import bombs, files, identity, network
from ringfence.attack.probes.kit import Attempt
from ringfence.attack.program import program

MIB = 1 << 20
NO_CHILD_IS_LEFT = """
import os
try:
    sys.exit(f"a child is left: {os.waitpid(-1, os.WNOHANG)}")
except ChildProcessError:
    pass
"""


@contextmanager
def tcp_server(answer: bytes = b"") -> Iterator[int]:
    """Says the same to everybody."""

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                if answer:
                    connection.recv(4096)
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_an_open_port_is_a_way_through() -> None:
    with tcp_server() as port:
        assert network._tcp("127.0.0.1", port).outcome == "through"


def test_a_reset_by_the_addressee_is_no_fence() -> None:
    found = network._tcp("127.0.0.1", closed_port())
    assert (found.outcome, found.errno) == ("silent", "ECONNREFUSED")


def test_a_datagram_that_its_addressee_complains_of_has_got_through() -> None:
    found = network._datagram("127.0.0.1", closed_port(), known=False)
    assert (found.outcome, found.detail) == ("through", "rejected by 127.0.0.1")


def test_no_route_is_a_refusal() -> None:
    error = OSError(errno.ENETUNREACH, "no route")
    assert network._not_reached("x", error, "", known=False).outcome == "refused"


def test_a_rejection_on_the_way_is_a_refusal_and_says_whose() -> None:
    error = OSError(errno.ECONNREFUSED, "refused")
    found = network._not_reached("x", error, "10.244.0.1", known=False)
    assert (found.outcome, found.detail) == ("refused", "rejected by 10.244.0.1")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "refused"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "refused"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "through"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "through"),
    ],
)
def test_proxy_that_tries_to_connect_has_let_it_through(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, outcome: str
) -> None:
    with tcp_server(answer) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        found = list(network._proxied("203.0.113.10"))
    assert {a.outcome for a in found} == {outcome}
    assert len(found) == 3


def test_where_no_proxy_listens_the_direct_ways_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port()}")
    assert list(network._proxied("203.0.113.10")) == []


def test_cluster_dns_is_guessed_beside_the_api_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    assert "10.96.0.10" in network._resolvers()


@pytest.mark.parametrize(("content", "outcome"), [(b"eyJhbGciOi", "through"), (b"abc", "refused")])
def test_a_token_is_known_by_its_beginning_and_never_shown(
    tmp_path: Path, content: bytes, outcome: str
) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    found = files._token(str(path))
    assert found.outcome == outcome
    assert content.decode() not in str(found)


def test_search_for_tokens_waits_for_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert files._token(str(tmp_path / "pipe")).outcome == "refused"


def test_what_could_be_removed_is_put_back(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    assert files._move(str(victim)).outcome == "through"
    assert victim.read_text() == "kept"


def test_directory_that_an_overlay_does_not_move_counts_as_removable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cross_device(_source: str, _target: str) -> None:
        raise OSError(errno.EXDEV, "other device")

    monkeypatch.setattr(files.os, "rename", cross_device)
    assert files._move("/etc").outcome == "through"


def test_links_in_the_workspace_are_removed_but_not_followed(tmp_path: Path) -> None:
    outside, workspace = tmp_path / "outside", tmp_path / "work"
    outside.mkdir()
    (outside / "precious").touch()
    workspace.mkdir()
    (workspace / "link").symlink_to(outside)
    files._empty(str(workspace))
    assert list(workspace.iterdir()) == []
    assert (outside / "precious").exists()


def test_fork_bomb_ends_by_itself_a_little_beyond_the_limit() -> None:
    scene = {"pids": 20, "spinSeconds": 0.0}
    seen = run(program("bombs.fork_bomb", scene) + NO_CHILD_IS_LEFT)
    assert seen.attempts[0].outcome == "through"
    assert seen.number("processes") == 20 + 256


def test_fork_bomb_never_exceeds_its_own_bound() -> None:
    seen = run(program("bombs.fork_bomb", {"pids": 32768, "spinSeconds": 0.0}))
    assert seen.attempts[0].outcome == "untried"


def limited(kind: int, value: int) -> str:
    return f"import resource; resource.setrlimit({kind}, ({value}, {value}))\n"


def test_memory_that_is_refused_counts_as_refused() -> None:
    before = limited(resource.RLIMIT_AS, 256 * MIB)
    seen = run(program("bombs.memory_bomb", {"memory": 128 * MIB}), before=before)
    assert seen.attempts[0].errno == "ENOMEM"
    assert 0 < seen.number("bytes") < 256 * MIB


def test_memory_bomb_ends_by_itself_a_little_beyond_the_limit() -> None:
    seen = run(program("bombs.memory_bomb", {"memory": 32 * MIB}))
    assert seen.attempts[0].outcome == "through"
    assert seen.number("bytes") == (32 + 256) * MIB


def test_memory_bomb_spares_a_node_with_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bombs, "_available", lambda: 100 * MIB)
    (found,) = bombs.memory_bomb({"memory": 64 * MIB})["attempts"]
    assert found["outcome"] == "untried"


def test_disk_is_filled_over_several_files_and_left_empty(tmp_path: Path) -> None:
    reached, said = bombs._fill(str(tmp_path), 3 * MIB)
    assert (reached, said) == (3 * MIB, "")


def test_full_disk_is_heard() -> None:
    assert bombs._fill_file("/dev/full", 2 * MIB) == (0, "ENOSPC")


def test_blocks_that_cannot_be_reserved_are_written_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(_file: int, _offset: int, _length: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(bombs.os, "posix_fallocate", unsupported)
    path = tmp_path / "x"
    assert bombs._fill_file(str(path), 2 * MIB) == (2 * MIB, "")
    assert path.stat().st_size == 2 * MIB


def test_side_door_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    path.write_text("last words")
    assert bombs._side_door("/dev/termination-log", str(path)).outcome == "through"
    assert path.read_text() == "last words"


def test_disk_of_the_node_is_not_filled_when_it_is_nearly_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bombs, "_SPARE_DISK", 1 << 60)
    assert not bombs._room(str(tmp_path), MIB)


@pytest.mark.parametrize(
    ("mode", "raises"), [(0o755, False), (0o4755, True), (0o2755, True), (0o4644, False)]
)
def test_setuid_programs_are_found_by_their_mode(
    tmp_path: Path, mode: int, *, raises: bool
) -> None:
    path = tmp_path / "program"
    path.touch()
    path.chmod(mode)
    assert identity._raises(str(path)) is raises


def test_attempts_of_threads_come_in_order() -> None:
    ways: list[Callable[[], Attempt]] = [
        lambda number=number: Attempt(str(number), "refused")  # type: ignore[misc]
        for number in range(5)
    ]
    assert [a.what for a in network._at_once(*ways)] == list("01234")
