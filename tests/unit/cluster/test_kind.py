"""The kind driver says the right words to `kind`; the choice of driver follows Docker."""

from __future__ import annotations

from subprocess import CompletedProcess
from typing import TYPE_CHECKING

import pytest

from cluster import config, driver
from cluster.driver import DriverName
from cluster.kind import KindDriver

if TYPE_CHECKING:
    from pathlib import Path


class FakeKind:
    """Records what would be run and answers `get clusters` and `get kubeconfig`."""

    def __init__(self, clusters: str = "") -> None:
        self.calls: list[tuple[str, ...]] = []
        self._answers = {"clusters": clusters, "kubeconfig": "a kubeconfig"}

    def __call__(self, *argv: str) -> CompletedProcess[str]:
        self.calls.append(argv)
        return CompletedProcess(argv, 0, stdout=self._answers.get(argv[2], ""))


@pytest.fixture
def paths(tmp_path: Path) -> config.Paths:
    return config.Paths(state=tmp_path / "state", cache=tmp_path / "cache")


def test_create_makes_the_cluster_with_our_kubernetes_version(paths: config.Paths) -> None:
    kind = FakeKind()
    assert KindDriver(paths, kind).create()
    image = f"kindest/node:{config.KUBERNETES_VERSION}"
    assert kind.calls == [
        ("kind", "get", "clusters"),
        ("kind", "create", "cluster", "--name", "ringfence", "--image", image, "--wait", "120s"),
        ("kind", "get", "kubeconfig", "--name", "ringfence"),
    ]
    assert paths.kubeconfig.read_text() == "a kubeconfig"


def test_create_leaves_an_existing_cluster_alone(paths: config.Paths) -> None:
    kind = FakeKind(clusters="other\nringfence\n")
    assert not KindDriver(paths, kind).create()
    assert [call[1] for call in kind.calls] == ["get", "get"]


def test_delete_names_only_our_cluster(paths: config.Paths) -> None:
    kind = FakeKind()
    KindDriver(paths, kind).delete()
    assert kind.calls == [("kind", "delete", "cluster", "--name", "ringfence")]


def test_image_is_loaded_from_its_archive(paths: config.Paths, tmp_path: Path) -> None:
    kind = FakeKind()
    KindDriver(paths, kind).load_image(tmp_path / "image.tar")
    archive = str(tmp_path / "image.tar")
    assert kind.calls == [("kind", "load", "image-archive", archive, "--name", "ringfence")]


@pytest.mark.parametrize(
    ("wanted", "docker", "chosen"),
    [
        (DriverName.AUTO, True, DriverName.KIND),
        (DriverName.AUTO, False, DriverName.EMBEDDED),
        (DriverName.EMBEDDED, True, DriverName.EMBEDDED),
        (DriverName.KIND, False, DriverName.KIND),
    ],
)
def test_auto_takes_kind_only_where_docker_answers(
    wanted: DriverName, *, docker: bool, chosen: DriverName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "docker_answers", lambda: docker)
    assert driver.resolve(wanted) is chosen
