"""Command line of the test cluster: up, down, status, logs, load-image, kubeconfig, node-2."""

from __future__ import annotations

import signal
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotation at run time
from typing import TYPE_CHECKING, Annotated

import typer

from cluster import binaries, config
from cluster.driver import Driver, DriverName, resolve
from cluster.embedded import EmbeddedDriver
from cluster.errors import ClusterError
from cluster.kind import KindDriver
from cluster.progress import Progress

if TYPE_CHECKING:
    from types import FrameType

app = typer.Typer(
    help="A real Kubernetes for tests, with or without a Docker engine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
node_2 = typer.Typer(
    help="A node with AppArmor and cgroup v2: a slow virtual machine beside the embedded cluster.",
    no_args_is_help=True,
)
app.add_typer(node_2, name=config.NODE_2_NAME)
Choice = Annotated[DriverName, typer.Option(help="auto: kind where a Docker engine answers.")]


@app.command()
def up(driver: Choice = DriverName.AUTO) -> None:
    """Bring the cluster up; at once if it is up."""
    binaries.prepare_clients(config.default_paths(), Progress())
    _driver(driver).create()


@app.command()
def down(driver: Choice = DriverName.AUTO) -> None:
    """Remove the cluster and all it made, except the cache."""
    _driver(driver).delete()


@app.command()
def status(driver: Choice = DriverName.AUTO) -> None:
    """Say which components run and whether the node is Ready."""
    typer.echo(_driver(driver).status())


@app.command()
def logs(
    component: Annotated[str | None, typer.Argument()] = None, driver: Choice = DriverName.AUTO
) -> None:
    """Print the log of one component, or the end of every log."""
    typer.echo(_driver(driver).logs(component))


@app.command("load-image")
def load_image(archive: Path, driver: Choice = DriverName.AUTO) -> None:
    """Load an OCI archive into the node."""
    _driver(driver).load_image(archive)


@app.command()
def kubeconfig(driver: Choice = DriverName.AUTO) -> None:
    """Print the path of the kubeconfig."""
    typer.echo(_driver(driver).kubeconfig())


@node_2.command("up")
def node_2_up() -> None:
    """Start node 2 in the running cluster; at once if it runs."""
    _embedded().start_node_2()


@node_2.command("down")
def node_2_down() -> None:
    """Remove node 2; the rest of the cluster stays."""
    _embedded().stop_node_2()


@node_2.command("status")
def node_2_status() -> None:
    """Say whether node 2 runs and is Ready."""
    typer.echo(_embedded().node_2.status())


def main() -> None:
    """Run a command; errors are told without a stack, SIGTERM ends it like Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except ClusterError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


def _driver(name: DriverName) -> Driver:
    paths = config.default_paths()
    if resolve(name) is DriverName.KIND:
        return KindDriver(paths)
    return _embedded()


def _embedded() -> EmbeddedDriver:
    return EmbeddedDriver(config.default_paths(), Progress())


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
