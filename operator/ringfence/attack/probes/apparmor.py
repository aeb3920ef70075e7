"""Attacks that only AppArmor stops: another process of the same user, own programs, a new profile.

Without AppArmor each of them is allowed, as none leaves the Sandbox.
"""

import os
import shutil
import subprocess
from typing import Final

from ringfence.attack.probes.kit import Attempt, Result, Scene, attempt, result

_FOR_DATA: Final = "/dev/shm"


def confinement(_scene: Scene) -> Result:
    """Leaves the profile, takes another one, and starts a program from a place for data."""
    return result(
        [_rename("changeprofile unconfined"), _rename("changehat 0^unconfined"), _run_own_program()]
    )


def secrets(_scene: Scene) -> Result:
    """Reads memory and environment of the agent's first process."""
    return result(_open(path) for path in ("/proc/1/environ", "/proc/1/mem"))


def _open(path: str) -> Attempt:
    return attempt(f"open {path}", lambda: os.close(os.open(path, os.O_RDONLY)))


def _rename(wanted: str) -> Attempt:
    def write() -> None:
        with open("/proc/self/attr/current", "w") as file:
            file.write(wanted)

    return attempt(f"echo {wanted} > /proc/self/attr/current", write)


def _run_own_program() -> Attempt:
    path = os.path.join(_FOR_DATA, ".ringfence-attack")

    def run() -> None:
        shutil.copyfile("/bin/true", path)
        os.chmod(path, 0o700)
        subprocess.run([path], check=False)

    try:
        return attempt(f"cp /bin/true {_FOR_DATA}/x; {_FOR_DATA}/x", run)
    finally:
        if os.path.lexists(path):
            os.unlink(path)
