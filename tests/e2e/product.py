"""Puts the product on the embedded cluster, as a user would: images, chart, a package index.

Used by the end-to-end tests, the demo and the benchmarks. Every step is idempotent.
"""

import subprocess
from pathlib import Path

from cluster import Cluster, ClusterError, config
from cluster.progress import Progress
from egress import ca, daemon, wheels
from images import build, recipe
from ringfence import allowlist

NAMESPACE = "ringfence-system"
REPOSITORY = Path(__file__).resolve().parents[2]

DEMO_REQUIREMENTS = ("seaborn==0.13.2",)
"""A wheel with dependencies that the image does not hold."""


def up(progress: Progress | None = None) -> Cluster:
    """The running cluster with the product installed."""
    progress = progress or Progress()
    cluster = Cluster(progress=progress)
    cluster.up()
    load_images(cluster, progress)
    start_index(cluster, progress)
    install(cluster, progress)
    return cluster


def load_images(cluster: Cluster, progress: Progress) -> None:
    """Builds and loads the three images; the sandbox's trusts the test CA."""
    archives = [
        build.build("operator"),
        build.build("proxy"),
        build.build("sandbox", certificate=ca.ca()),
    ]
    with progress.step("images: load"):
        for archive in archives:
            cluster.load_image(archive)


def start_index(cluster: Cluster, progress: Progress) -> None:
    """A package index in the stand-in internet, under the names of the real one."""
    wheels.download_wheels(DEMO_REQUIREMENTS)
    with progress.step("package index: start"):
        # Each cluster has its own: a state directory in common would let one stop the other's.
        daemon.start(config.WORLD_NETNS, state=daemon.STATE / config.WORLD_NETNS)
        for host in allowlist.default_hosts():
            cluster.dns_override(host, daemon.ADDRESS)


def install(cluster: Cluster, progress: Progress) -> None:
    """Installs or upgrades the chart and waits until its Pods are ready."""
    # The tag does not change with the code: another annotation replaces Pods of an older image.
    built = build.build("operator").stat().st_mtime_ns
    with progress.step("helm: install"):
        helm(
            cluster,
            *("upgrade", "--install", "ringfence", str(REPOSITORY / "helm" / "ringfence")),
            *("--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", "3m"),
            *("--set", f"defaultClass.image.tag={recipe.version()}-e2e"),
            *("--set-string", f"operator.podAnnotations.built=at-{built}"),
            *("--set-string", f"node.podAnnotations.built=at-{built}"),
        )


def helm(cluster: Cluster, *arguments: str) -> str:
    """Runs helm as administrator.

    Raises:
        ClusterError: With what helm said.
    """
    argv = [str(cluster.paths.bin / "helm"), "--kubeconfig", str(cluster.kubeconfig), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"helm {arguments[0]} failed: {done.stderr.strip()}"
        raise ClusterError(message)
    return done.stdout
