"""`ringfence ls` and `ringfence describe`."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
import yaml

from ringfence.cli import exits, options, views
from ringfence.cli.options import Output
from ringfence.cli.terminal import Terminal
from ringfence.client.rest import Rest
from ringfence.kinds import SANDBOX
from ringfence.sdk.troubles import missing

Json = dict[str, Any]


def ls(
    *,
    namespace: options.Namespace = None,
    everywhere: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="Those of all namespaces.")
    ] = False,
    selector: Annotated[
        str, typer.Option("--selector", "-l", help="Only those with these labels: KEY=VALUE,...")
    ] = "",
    output: options.Form = Output.TABLE,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """List Sandboxes.

    READY says whether the Sandbox runs and is confined as its class promises; REASON why not.
    `-o wide` adds image, node and the operator's own words; json, yaml and name are for programs.
    """
    terminal = Terminal()

    def work() -> int:
        access, where = options.reach(namespace, kubeconfig, context)
        with Rest(access) as rest:
            found = rest.list(SANDBOX, "" if everywhere else where, selector)
        if output in (Output.TABLE, Output.WIDE):
            _table(terminal, found, wide=output is Output.WIDE, everywhere=everywhere)
            if not found:
                terminal.note("no Sandboxes" + ("" if everywhere else f" in namespace {where}"))
        else:
            listed = {"apiVersion": "v1", "kind": "List", "items": found}
            _write(terminal, output, listed, found)
        return exits.OK

    raise exits.guarded(work, terminal)


def describe(
    name: options.Name,
    *,
    namespace: options.Namespace = None,
    output: options.Form = Output.TABLE,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Show one Sandbox: each layer of defence, what the operator sees, what to do about it.

    Enforced means that the node agent has read it from the kernel since the agent was started.
    """
    terminal = Terminal()

    def work() -> int:
        place = options.place(name, namespace, kubeconfig, context)
        with place.rest() as rest:
            found = rest.get(SANDBOX, place.namespace, name)
        if found is None:
            raise missing(place)
        if output in (Output.TABLE, Output.WIDE):
            _describe(terminal, found)
        else:
            _write(terminal, output, found, [found])
        return exits.OK

    raise exits.guarded(work, terminal)


def _table(terminal: Terminal, found: list[Json], *, wide: bool, everywhere: bool) -> None:
    now = datetime.now(UTC)
    lines = [views.line(obj, now, wide=wide, everywhere=everywhere) for obj in found]
    if lines:
        terminal.cells(views.headings(wide=wide, everywhere=everywhere), lines)


def _describe(terminal: Terminal, found: Json) -> None:
    pairs = views.facts(found, datetime.now(UTC))
    terminal.cells(None, [[views.Cell(f"{key}:"), views.Cell(value)] for key, value in pairs])
    if lines := views.layers(found):
        terminal.heading("Layers")
        terminal.cells(["LAYER", "STATE", "WHAT IS IN FORCE"], lines)
    if lines := views.conditions(found):
        terminal.heading("Conditions")
        terminal.cells(["TYPE", "STATUS", "REASON", "MESSAGE"], lines)
    if hints := views.what_to_do(found):
        terminal.heading("What to do")
        terminal.cells(None, [[views.Cell(f"- {hint}")] for hint in hints])


def _write(terminal: Terminal, output: Output, whole: Json, found: list[Json]) -> None:
    """For programs: as it is, but in a form in which no character steers a terminal."""
    if output is Output.JSON:
        terminal.write(json.dumps(whole, indent=2) + "\n")
    elif output is Output.YAML:
        terminal.write(yaml.safe_dump(whole, sort_keys=False))
    else:
        plural = f"{SANDBOX.plural}.{SANDBOX.api_version.partition('/')[0]}"
        terminal.write("".join(f"{plural}/{obj['metadata']['name']}\n" for obj in found))
