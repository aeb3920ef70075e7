"""Options that several commands have, spelled as kubectl spells them."""

from enum import StrEnum
from typing import Annotated

import typer

from ringfence.cli.live_names import sandbox_names
from ringfence.client.access import Access, access
from ringfence.sdk.place import Place

Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Else the context's namespace.")
]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig.")]
Kubeconfig = Annotated[
    str | None, typer.Option(help="Else as kubectl: KUBECONFIG, ~/.kube/config, the Pod's own.")
]
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The Sandbox.", autocompletion=sandbox_names, show_default=False
    ),
]


class Output(StrEnum):
    """How objects are written."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


Form = Annotated[Output, typer.Option("--output", "-o", help="Form of the result.")]


def reach(namespace: str | None, kubeconfig: str | None, context: str | None) -> tuple[Access, str]:
    """The cluster, and the namespace that is meant.

    Raises:
        ApiError: There is no cluster.
    """
    found = access(kubeconfig, context)
    return found, namespace or found.namespace


def place(name: str, namespace: str | None, kubeconfig: str | None, context: str | None) -> Place:
    """One Sandbox.

    Raises:
        ApiError: There is no cluster.
    """
    found, where = reach(namespace, kubeconfig, context)
    return Place(found, where, name)
