"""Entry point of the command line; says what is missing where only the operator is installed."""

import sys


def main() -> None:
    """Runs the command line."""
    try:
        from ringfence.cli.app import app  # noqa: PLC0415 - the operator runs without these
    except ModuleNotFoundError as error:
        sys.exit(f"{error}: install the command line with `pip install 'ringfence[cli]'`")
    app()
