"""pip inside a Sandbox: what is on the allowlist installs, everything else is refused at once."""

import json
import time

import pytest

import support
from cluster import Cluster
from ringfence import allowlist

pytestmark = pytest.mark.usefixtures("ringfence")

FETCH = """
import time, urllib.request
begun = time.monotonic()
try:
    answer = urllib.request.urlopen(%r, timeout=10).status
except OSError as error:
    answer = error
print(f"{time.monotonic() - begun:.2f} {answer}")
"""


def test_pip_installs_a_wheel_with_dependencies_into_the_workspace(
    cluster: Cluster, namespace: str
) -> None:
    name = support.sandbox(cluster, namespace)
    support.execute(cluster, namespace, name, "pip", "install", "--quiet", "contourpy", "cycler")
    program = "import contourpy, numpy; print(contourpy.__file__, numpy.__file__)"
    found = support.python(cluster, namespace, name, program).split()
    assert all(path.startswith("/work/.local/lib/python3.11/site-packages/") for path in found)


def test_host_off_the_list_is_refused_within_two_seconds_and_told_why(
    cluster: Cluster, namespace: str
) -> None:
    name = support.sandbox(cluster, namespace)
    said = support.python(cluster, namespace, name, FETCH % "https://example.com/")
    seconds, _, answer = said.partition(" ")
    assert float(seconds) < 2
    assert "allowlist (spec.egress.allow)" in answer


def test_empty_allowlist_refuses_even_the_package_index(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace, egress={"allow": []})
    url = f"https://{allowlist.default_hosts()[0]}/simple/"
    assert "403" in support.python(cluster, namespace, name, FETCH % url)


def test_changed_allowlist_reaches_the_running_proxy(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    url = f"https://{allowlist.default_hosts()[0]}/simple/seaborn/"
    assert " 200" in support.python(cluster, namespace, name, FETCH % url)
    before = _proxy(cluster, namespace, name)
    support.create_sandbox(cluster, namespace, name, egress={"allow": []})

    def refused() -> bool:
        return "403" in support.python(cluster, namespace, name, FETCH % url)

    begun = time.monotonic()
    support.poll("the proxy to refuse", refused, 20)
    assert _proxy(cluster, namespace, name) == before, f"after {time.monotonic() - begun:.0f} s"


def _proxy(cluster: Cluster, namespace: str, name: str) -> str:
    pod = support.get(cluster, "pod", namespace, name)
    assert pod is not None
    return json.dumps([s["containerID"] for s in pod["status"]["initContainerStatuses"]])
