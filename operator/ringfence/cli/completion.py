"""Completion for shells and for kubectl, asked of typer by the protocol that its scripts speak."""

import os
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final

import typer
from typer.testing import CliRunner

_VARIABLE: Final = "_RINGFENCE_COMPLETE"
_NO_FILES: Final = 4
"""kubectl's directive: propose nothing beside this."""


class Shell(StrEnum):
    """Shells that there are scripts for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="Whose script is written.")]) -> None:
    """Write the completion script of a shell, with the names of live Sandboxes.

    bash: source <(ringfence completion bash). zsh: ringfence completion zsh > a file _ringfence in
    a directory of $fpath. fish: ringfence completion fish | source. For `kubectl ringfence` there
    is nothing to do but kubectl's own completion: it finds `kubectl_complete-ringfence`.
    """
    typer.echo(_asked({_VARIABLE: f"source_{shell}"}), nl=False)


def for_kubectl(words: Sequence[str]) -> str:
    """What `kubectl_complete-ringfence` answers."""
    line = ["ringfence", *words]
    proposals = _asked(
        {
            _VARIABLE: "complete_bash",
            "COMP_WORDS": "\n".join(line),
            "COMP_CWORD": str(len(line) - 1),
        }
    )
    return f"{proposals}:{_NO_FILES}\n"


def _asked(environment: dict[str, str]) -> str:
    from ringfence.cli.app import app  # noqa: PLC0415 - it knows this module

    kept = {k: v for k, v in os.environ.items() if not k.startswith("COMP_")}
    done = CliRunner().invoke(app, [], prog_name="ringfence", env={**kept, **environment})
    return done.stdout
