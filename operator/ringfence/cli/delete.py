"""`ringfence delete`."""

from typing import Annotated

import typer

from ringfence.cli import exits, options
from ringfence.cli.live_names import sandbox_names
from ringfence.cli.terminal import Terminal
from ringfence.sdk import lifecycle
from ringfence.sdk.place import Place
from ringfence.sdk.troubles import missing


def delete(  # noqa: PLR0913 - one parameter is one option
    name: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="Sandboxes.", autocompletion=sandbox_names),
    ],
    *,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until their Pods ended.")] = True,
    ignore_not_found: Annotated[
        bool, typer.Option("--ignore-not-found", help="One that is not there is no error.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait.")] = lifecycle.GONE_SECONDS,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Delete Sandboxes with all that is in them, and wait until their Pods have ended.

    Their files are gone for good: copy out what you need first (`ringfence cp`).
    """
    terminal = Terminal()

    def work() -> int:
        access, where = options.reach(namespace, kubeconfig, context)
        places = [Place(access, where, one) for one in name]
        absent = [place for place in places if not lifecycle.remove(place, wait=False)]
        gone = [place for place in places if place not in absent]
        with terminal.working() as working:
            for place in gone:
                working.doing_still(f"{place.name}: its Pod is ending")
                if wait:
                    lifecycle.wait_gone(place, timeout)
                terminal.write(f"Sandbox {place.name} {'is gone' if wait else 'was deleted'}\n")
        if absent and not ignore_not_found:
            raise missing(absent[0])
        return exits.OK

    raise exits.guarded(work, terminal)
