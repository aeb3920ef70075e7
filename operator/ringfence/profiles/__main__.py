"""`python -m ringfence.profiles`: write the profiles under profiles/seccomp, or check them.

For developers and CI only; nodes use `ringfence-profiles`. The files are generated so that a
reviewer sees in a diff what a change of the table does. They are never edited by hand.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ringfence.profiles.seccomp import Arch, localhost_profile, profile, render
from ringfence.profiles.validate import validate

_COMMAND = "python -m ringfence.profiles"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog=_COMMAND, description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if stale")
    parser.add_argument(
        "--out", type=Path, default=Path("profiles/seccomp"), help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    for arch in Arch:
        validate(profile(arch))
    return _check(options.out) if options.check else _write(options.out)


def _write(directory: Path) -> int:
    directory.mkdir(parents=True, exist_ok=True)
    for arch in Arch:
        (directory / f"{arch}.json").write_bytes(render(arch))
    sys.stdout.write(f"{directory}: {', '.join(Arch)} written, pods use {localhost_profile()}\n")
    return 0


def _check(directory: Path) -> int:
    stale = [path for arch in Arch if _content(path := directory / f"{arch}.json") != render(arch)]
    for path in stale:
        sys.stderr.write(f"{path}: differs from the table; run `{_COMMAND}` and commit it\n")
    return 1 if stale else 0


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
