"""Try what only AppArmor refuses in a Sandbox, and print the answer to each attempt as JSON.

Runs inside a Sandbox (`kubectl exec -i ... python3 - < places.py`) whose Pod was given bait: each
directory is a volume that everybody may write to, each file is one that everybody may read and run.
So no other layer stands in the way, and without AppArmor all of it works.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Attempts = dict[str, Callable[[], object]]

SECRET_DIRECTORIES = (
    *("/app", "/skills", "/var/lib/aiagent", "/etc/kubernetes", "/etc/sudoers.d"),
    *("/run/containerd", "/run/docker", "/var/lib/kubelet", "/home/sandbox/.ssh"),
)
DIRECTORIES = (*SECRET_DIRECTORIES, "/srv")  # that one may be read, not written to
FILES = ("/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/run/docker.sock")
PROGRAMS = tuple(f"/usr/local/sbin/{name}" for name in ("mount", "nsenter", "su"))
FOR_DATA = ("/tmp", "/dev/shm")  # noqa: S108 - the places under test
WORKSPACE = "/work"


def forbidden() -> Attempts:
    """What must be refused, by what it is."""
    return {
        **{f"write to {place}": partial(_write, place) for place in DIRECTORIES},
        **{f"list {place}": partial(_list, place) for place in SECRET_DIRECTORIES},
        **{f"read {path}": partial(_read, path) for path in FILES},
        "read /etc/shadow through a link": partial(_through_a_link, "/etc/shadow"),
        "read /etc/shadow below /proc": partial(_read, "/proc/self/root/etc/shadow"),
        "read the environment of process 1": partial(_read, "/proc/1/environ"),
        **{f"run a program in {place}": partial(_run, place) for place in FOR_DATA},
        **{f"run {name}": partial(_execute, name) for name in PROGRAMS},
    }


def own() -> Attempts:
    """What must work."""
    return {
        **{f"write to {place}": partial(_write, place) for place in (WORKSPACE, *FOR_DATA)},
        f"run a program in {WORKSPACE}": partial(_run, WORKSPACE),
        "list /srv": partial(_list, "/srv"),
        "look at itself": partial(_read, "/proc/self/status"),
    }


def _write(place: str) -> None:
    Path(place, "x").write_text("x")


def _list(place: str) -> None:
    list(Path(place).iterdir())


def _read(path: str) -> None:
    Path(path).open("rb").close()


def _through_a_link(path: str) -> None:
    link = Path(WORKSPACE, "link")
    link.symlink_to(path)
    try:
        _read(str(link))
    finally:
        link.unlink()


def _run(place: str) -> None:
    program = Path(place, "program")
    shutil.copyfile("/bin/true", program)
    program.chmod(0o700)
    _execute(str(program))


def _execute(program: str) -> None:
    subprocess.run([program], check=True)


def answer(attempt: Callable[[], object]) -> str:
    """Whether it was allowed; what goes wrong otherwise is no refusal."""
    try:
        attempt()
    except PermissionError:
        return "refused"
    except OSError as error:
        return str(error)
    return "allowed"


if __name__ == "__main__":
    found = [{name: answer(a) for name, a in some.items()} for some in (forbidden(), own())]
    sys.stdout.write(json.dumps(found) + "\n")
