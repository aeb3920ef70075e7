"""`python -m ringfence.profiles`: write the profiles under profiles/, or check them.

For developers and CI only; nodes use `ringfence-node`. The files are generated so that a reviewer
sees in a diff what a change of a table does. They are never edited by hand.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ringfence.profiles import apparmor
from ringfence.profiles.seccomp import Arch, localhost_profile, profile, render
from ringfence.profiles.validate import validate

_COMMAND = "python -m ringfence.profiles"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog=_COMMAND, description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if stale")
    parser.add_argument("--out", type=Path, default=Path("profiles"), help="default: %(default)s")
    options = parser.parse_args(arguments)
    for arch in Arch:
        validate(profile(arch))
    files = {options.out / path: content for path, content in _files().items()}
    return _check(files) if options.check else _write(files)


def _files() -> dict[Path, bytes]:
    """Return every profile by its path below the directory."""
    seccomp = {Path("seccomp", f"{arch}.json"): render(arch) for arch in Arch}
    return {**seccomp, Path("apparmor", "sandbox-agent"): apparmor.render().encode()}


def _write(files: dict[Path, bytes]) -> int:
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        sys.stdout.write(f"{path} written\n")
    sys.stdout.write(f"pods use {localhost_profile()} and {apparmor.profile_name()}\n")
    return 0


def _check(files: dict[Path, bytes]) -> int:
    stale = [path for path, content in files.items() if _content(path) != content]
    for path in stale:
        sys.stderr.write(f"{path}: differs from the table; run `{_COMMAND}` and commit it\n")
    return 1 if stale else 0


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
