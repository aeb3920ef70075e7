"""What docs/security.md says of inotify instances is what the kernel does.

No cluster and no limit of the machine: a private user namespace stands in for the node.
"""

import json
import subprocess
import sys
from typing import Any

import pytest

from egress import inotify_share
from egress.inotify_share import NODE_LIMIT


@pytest.fixture(scope="module")
def seen() -> Any:
    program = [sys.executable, inotify_share.__file__]
    return json.loads(subprocess.run(program, check=True, timeout=20, stdout=-1).stdout)


def test_a_pod_with_a_user_namespace_can_take_every_instance_of_the_nodes_root(seen: Any) -> None:
    assert seen["unlimited"]["pod"] == NODE_LIMIT
    assert seen["unlimited"]["node"] == 0


def test_a_limit_written_from_outside_into_the_pods_namespace_leaves_the_rest(seen: Any) -> None:
    assert seen["limited"]["pod"] == 2
    assert seen["limited"]["node"] == NODE_LIMIT - 2


def test_a_pod_can_neither_raise_that_limit_nor_get_round_it_by_a_namespace_below(
    seen: Any,
) -> None:
    assert seen["limited"]["raised"] is False
    assert seen["limited"]["nested"] == 0
