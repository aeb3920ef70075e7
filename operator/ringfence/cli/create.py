"""`ringfence create`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml

from ringfence import names
from ringfence.cli import exits, options
from ringfence.cli.options import Output
from ringfence.cli.terminal import Terminal
from ringfence.sdk import lifecycle, spec
from ringfence.sdk.errors import InvalidArgument
from ringfence.sdk.place import Place

Json = dict[str, Any]

EPILOG: Final = """\
Examples: `ringfence create demo`, `ringfence create --class small --memory 1Gi --allow
api.example.com:443 demo`, `ringfence create -f sandbox.yaml`, `ringfence create demo -- sleep
infinity`. Then `ringfence exec demo -- python3 -c 'print(6 * 7)'`.

Exit codes: 0 the Sandbox is Ready, 1 it is not and says why, 2 wrong usage, 3 could not be created,
130 interrupted.
"""


_Limit = Annotated[
    str | None, typer.Option(help="A quantity, such as 500m or 2Gi; else the class's.")
]
_Command = Annotated[
    list[str] | None, typer.Argument(metavar="-- COMMAND", help="Instead of the image's.")
]
_Allow = Annotated[
    list[str] | None,
    typer.Option(metavar="HOST[:PORT,...]", help="May be reached; may be repeated."),
]
_File = Annotated[
    str | None, typer.Option("--file", "-f", help="A Sandbox as YAML or JSON; - is stdin.")
]
_Class = Annotated[
    str | None, typer.Option("--class", help="SandboxClass; else the cluster's default.")
]
_Restart = Annotated[
    str | None, typer.Option(help="Always, OnFailure or Never, when the command has ended.")
]


def create(  # noqa: PLR0913 - one parameter is one option
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Else a name that nobody has.")
    ] = None,
    command: _Command = None,
    *,
    file: _File = None,
    class_name: _Class = None,
    image: Annotated[str | None, typer.Option(help="Image; else the class's.")] = None,
    cpu: _Limit = None,
    memory: _Limit = None,
    pids: Annotated[int | None, typer.Option(help="Greatest number of processes.")] = None,
    disk: _Limit = None,
    allow: _Allow = None,
    no_network: Annotated[bool, typer.Option("--no-network", help="Nothing is reached.")] = False,
    role_arn: Annotated[str | None, typer.Option(help="AWS role.")] = None,
    restart: _Restart = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it is Ready.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait.")] = lifecycle.READY_SECONDS,
    output: options.Form = Output.TABLE,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Create a Sandbox and wait until it is Ready.

    Ready means that it runs and that the node agent has read from the kernel that it is confined.
    Ctrl-C while it waits removes the Sandbox again; one that does not become Ready stays, so that
    `ringfence describe` can say why.
    """
    terminal = Terminal()
    wanted = spec.SpecOptions(
        class_name=class_name,
        image=image,
        command=command,
        restart_policy=restart,
        cpu=cpu,
        memory=memory,
        pids=pids,
        disk=disk,
        allow=[] if no_network else allow,
        role_arn=role_arn,
    )
    if file is not None and (name or any(v is not None for v in wanted.values())):
        message = "the file says everything: give either --file or a name and options"
        raise typer.BadParameter(message, param_hint="--file")

    def work() -> int:
        access, where = options.reach(namespace, kubeconfig, context)
        if file:
            obj = _from_file(file, where, namespace)
        else:
            obj = spec.body(where, name or spec.new_name(), wanted)
        meta = obj["metadata"]
        place = Place(access, meta["namespace"], meta["name"])
        made = lifecycle.create(place, obj)
        if wait:
            made = _waited(terminal, place, timeout)
        _tell(terminal, output, made, ready=wait)
        return exits.OK

    raise exits.guarded(work, terminal)


def _from_file(file: str, where: str, namespace: str | None) -> Json:
    """The one Sandbox of a file; nothing in it is looked at but what we need."""
    text = sys.stdin.read() if file == "-" else Path(file).read_text()
    try:
        documents = [d for d in yaml.safe_load_all(text) if d]
    except yaml.YAMLError as error:
        message = f"{file}: {error}"
        raise InvalidArgument(message) from error
    if len(documents) != 1 or not isinstance(documents[0], dict):
        message = f"{file} holds {len(documents)} objects; `kubectl apply -f` takes several"
        raise InvalidArgument(message)
    obj: Json = documents[0]
    if (obj.get("apiVersion"), obj.get("kind")) != (names.API_VERSION, "Sandbox"):
        message = f"{file} holds no Sandbox of {names.API_VERSION}"
        raise InvalidArgument(message)
    meta = obj.setdefault("metadata", {})
    meta.setdefault("namespace", where)
    if namespace and meta["namespace"] != namespace:
        message = f"{file} says namespace {meta['namespace']}, --namespace says {namespace}"
        raise InvalidArgument(message)
    meta.setdefault("name", spec.new_name())
    return obj


def _waited(terminal: Terminal, place: Place, seconds: float) -> Json:
    with terminal.working() as working:
        try:
            return lifecycle.wait_ready(
                place, seconds, lambda said: working.doing_still(f"{place.name}: {said}")
            )
        except KeyboardInterrupt:
            lifecycle.remove(place, wait=False)
            terminal.note(f"Sandbox {place.name} was removed")
            raise


def _tell(terminal: Terminal, output: Output, made: Json, *, ready: bool) -> None:
    meta = made["metadata"]
    if output is Output.JSON:
        terminal.write(json.dumps(made, indent=2) + "\n")
    elif output is Output.YAML:
        terminal.write(yaml.safe_dump(made, sort_keys=False))
    elif output is Output.NAME:
        terminal.write(f"{meta['name']}\n")
    else:
        state = "is Ready" if ready else "was created"
        terminal.write(f"Sandbox {meta['name']} in namespace {meta['namespace']} {state}\n")
