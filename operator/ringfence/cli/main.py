"""Entry points of the command line; says what is missing where only the operator is installed."""

import os
import sys
from typing import Final

_PLUGIN: Final = "kubectl-ringfence"


def main() -> None:
    """Runs the command line."""
    if len(sys.argv) > 1 and sys.argv[1] == "exec" and (code := _quickly(sys.argv[2:])) is not None:
        _leave(code)
    try:
        from ringfence.cli.app import app  # noqa: PLC0415 - the operator runs without these
    except ModuleNotFoundError as error:
        sys.exit(f"{error}: install the command line with `pip install 'ringfence[cli]'`")
    plugin = os.path.basename(sys.argv[0]) == _PLUGIN  # noqa: PTH119 - pathlib is not free
    app(prog_name="kubectl ringfence" if plugin else "ringfence")


def _quickly(words: list[str]) -> int | None:
    """`exec` in its common forms; None if typer has to have a look."""
    import gc  # noqa: PLC0415

    gc.disable()  # a few modules and a stream of bytes: nothing to collect
    from ringfence.cli.quick import parse  # noqa: PLC0415

    wanted = parse(words)
    if wanted is None:
        gc.enable()
        return None
    from ringfence.cli.execute import execute  # noqa: PLC0415

    return execute(wanted)


def _leave(code: int) -> None:
    """Without taking the interpreter apart, which takes longer than it is worth."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def kubectl_completion() -> None:
    """Kubectl's protocol: words to complete in, proposals and a directive out."""
    from ringfence.cli.completion import for_kubectl  # noqa: PLC0415

    sys.stdout.write(for_kubectl(sys.argv[1:]))
