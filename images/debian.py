"""The Debian part of an image, made by mmdebstrap and the shell script the Containerfile uses too.

The mirror is the host's own. Must run as root, like the container engine it stands in for.
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from images.layer import EPOCH
from images.recipe import SUITE, Recipe

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
OPTIONS = (
    "--quiet",
    "--mode=root",
    '--aptopt=Acquire::Check-Valid-Until "false"',
    '--aptopt=APT::Install-Recommends "false"',
)


class BuildError(Exception):
    """A build step failed; the message is for the person who started it."""


def make_root(recipe: Recipe, work: Path) -> Path:
    """Make the root file system below `work` and return its directory."""
    _require_tools()
    root = work / "debian"
    packages = recipe.debian.packages
    if recipe.debian.install == "full":
        _mmdebstrap(root, "--variant=minbase", f"--include={','.join(packages)}")
        shutil.copy(recipe.script, root)
        _run("chroot", str(root), "sh", f"/{recipe.script.name}")
        for leftover in (recipe.script.name, "etc/resolv.conf", "etc/hostname"):
            (root / leftover).unlink(missing_ok=True)
        return root
    # Nothing is bootstrapped: the hook unpacks packages with the apt lists of the wanted suite.
    script = shlex.join(["sh", str(recipe.script)])
    hook = f'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" {script} "$1/image" {shlex.join(packages)}'
    _mmdebstrap(root, "--variant=custom", f"--customize-hook={hook}")
    return root / "image"


def _mmdebstrap(root: Path, *options: str) -> None:
    command = ["mmdebstrap", *OPTIONS, *options]
    if _KEYRING.exists():
        command.append(f"--keyring={_KEYRING}")
    _run(*command, SUITE, str(root), *_sources())


def _run(*command: str) -> None:
    environment = os.environ | {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "SOURCE_DATE_EPOCH": str(EPOCH),
        "TMPDIR": "/tmp",  # noqa: S108  the one that exists inside the root file system
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        tail = "\n".join(done.stderr.strip().splitlines()[-20:])
        message = f"{command[0]} ended with status {done.returncode}:\n{tail}"
        raise BuildError(message)


def _sources() -> list[str]:
    """Where this host itself gets Debian from; empty leaves it to mmdebstrap."""
    uris = _host_uris()
    if "Debian" not in uris:
        return []
    lines = [f"deb {uris['Debian']} {suite} main" for suite in (SUITE, f"{SUITE}-updates")]
    if "Debian-Security" in uris:
        lines.append(f"deb {uris['Debian-Security']} {SUITE}-security main")
    return lines


def _host_uris() -> dict[str, str]:
    if shutil.which("apt-get") is None:
        return {}
    command = ["apt-get", "indextargets", "--format", "$(LABEL)\t$(REPO_URI)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return dict(line.split("\t") for line in done.stdout.splitlines() if line.count("\t") == 1)


def _require_tools() -> None:
    if os.geteuid() != 0:
        message = "building images without a container engine needs root"
        raise BuildError(message)
    if shutil.which("mmdebstrap") is None:
        message = "mmdebstrap is missing: apt-get install mmdebstrap"
        raise BuildError(message)
