"""Real programs run inside a Sandbox, under the profile that refuses the attacks of test_seccomp.

What was run and what was refused meanwhile stands in docs/profiles.md.
"""

from __future__ import annotations

import io
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import support
import workloads
from cluster import rootfs
from egress.wheels import download_wheels

if TYPE_CHECKING:
    from cluster import Cluster

pytestmark = [pytest.mark.usefixtures("ringfence"), pytest.mark.timeout(600)]

SCRIPTS = Path(workloads.__file__).parent
TEST_SUITE = "libpython3.11-testsuite"
BUILD_BACKEND = "setuptools==80.9.0"  # pip fetches it from the index to build an sdist
_CLI_ARCH = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
AGENT_CLI = f"@anthropic-ai/claude-code-linux-{_CLI_ARCH}@2.1.331"

CPYTHON = {
    "asyncio": (
        "unittest",
        *(
            f"test.test_asyncio.test_{part}"
            for part in ("events", "sendfile", "server", "sock_lowlevel", "streams", "subprocess")
        ),
        "test.test_asyncio.test_unix_events",
    ),
    "subprocess": ("test", "test_subprocess"),
    # test_flags starts Python with -E, which then does not find the tests in the workspace.
    "multiprocessing by fork": ("test", "test_multiprocessing_fork", "-i", "test_flags"),
    "multiprocessing by forkserver": (
        *("test", "test_multiprocessing_forkserver", "-m", "WithProcesses*"),
    ),
    "multiprocessing by spawn": ("test", "test_multiprocessing_spawn", "-m", "*TestProcess*"),
    # test_fexecve runs an open file by its descriptor, which the profile refuses.
    "files, memory and waiting": (
        *("test", "test_fcntl", "test_mmap", "test_os", "test_posix", "test_select"),
        *("test_selectors", "test_tempfile", "-i", "test_fexecve"),
    ),
}


@pytest.fixture(name="test_suite", scope="session")
def _test_suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CPython's own tests, which Debian keeps apart from Python, as a tar archive."""
    directory = tmp_path_factory.mktemp("cpython")
    package = rootfs.download_package(TEST_SUITE, directory)
    archive = directory / "tests.tar"
    with archive.open("wb") as content:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", package], stdout=content, check=True)
    return archive


@pytest.mark.parametrize("part", CPYTHON)
def test_cpythons_own_tests_pass(
    cluster: Cluster, namespace: str, test_suite: Path, part: str
) -> None:
    name = support.sandbox(cluster, namespace)
    support.unpack(cluster, namespace, name, test_suite, "/work/cpython")
    # What of the package `test` is in the image belongs to it, and Python takes one place only.
    tests = "/work/cpython/usr/lib/python3.11"
    support.execute(
        cluster, namespace, name, "cp", "--recursive", "/usr/lib/python3.11/test", tests
    )
    # All on stderr, which is what a failure shows.
    script = ["sh", "-c", 'PYTHONPATH="$1"; export PYTHONPATH; shift; exec python3 -m "$@" >&2']
    support.execute(cluster, namespace, name, *script, "sh", tests, *CPYTHON[part])


@pytest.mark.parametrize(
    ("script", "interpreter"),
    [
        ("science.py", "python3"),
        ("database.py", "python3"),
        ("repository.sh", "bash"),
        ("service.js", "node"),
        ("package.sh", "sh"),
    ],
)
def test_program_works(cluster: Cluster, namespace: str, script: str, interpreter: str) -> None:
    name = support.sandbox(cluster, namespace)
    place = f"/work/{script}"
    content = (SCRIPTS / script).read_text()
    support.execute(cluster, namespace, name, "tee", place, stdin=content)
    said = support.execute(cluster, namespace, name, interpreter, place)
    assert said.splitlines()[-1] == "works"


def test_pip_installs_a_wheel_and_builds_an_sdist(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    download_wheels([BUILD_BACKEND])
    name = support.sandbox(cluster, namespace)
    support.unpack(cluster, namespace, name, _sdist(tmp_path), "/work/sdist")
    install = ("pip", "install", "--quiet")
    support.execute(cluster, namespace, name, *install, "seaborn", "/work/sdist/greeting")
    program = "import seaborn, greeting; print(greeting.hello())"
    assert support.python(cluster, namespace, name, program) == "works\n"
    site = "/work/.local/lib/python3.11/site-packages"
    assert support.execute(cluster, namespace, name, f"{site}/bin/greet") == "works\n"


def _sdist(directory: Path) -> Path:
    """A source distribution with a module and a command."""
    files = {
        "pyproject.toml": (
            "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n"
            "[project]\nname = 'greeting'\nversion = '1'\n"
            "[project.scripts]\ngreet = 'greeting:main'\n"
            "[tool.setuptools]\npy-modules = ['greeting']\n"
        ),
        "greeting.py": "def hello(): return 'works'\ndef main(): print(hello())\n",
    }
    archive = directory / "greeting-1.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"greeting/{name}")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return archive


def test_agent_command_line_starts(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    archive = _npm_package(AGENT_CLI, tmp_path)
    name = support.sandbox(cluster, namespace)
    support.unpack(cluster, namespace, name, archive, "/work/cli")
    said = support.execute(cluster, namespace, name, "/work/cli/package/claude", "--version")
    assert said.startswith(AGENT_CLI.rpartition("@")[2])


def _npm_package(name: str, directory: Path) -> Path:
    """The archive of an npm package; skips the test where npm or its registry cannot be had."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed on this machine")
    command = [npm, "pack", "--silent", name]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm cannot fetch {name}: {done.stderr.strip()[-300:]}")
    return directory / done.stdout.strip()
