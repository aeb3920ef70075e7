"""The exit codes of the command line; docs/cli.md explains them. No imports: `exec` starts so."""

from typing import Final

OK: Final = 0
NOT_HELD: Final = 1
"""The answer is no: a row of the attack table did not hold, a Sandbox does not become Ready."""
WRONG_USAGE: Final = 2
COULD_NOT_RUN: Final = 3
TIMED_OUT: Final = 124
"""`exec`: --timeout was over, as `timeout` has it."""
COULD_NOT_EXEC: Final = 125
"""`exec`: the command was not run; every other code is the command's own."""
INTERRUPTED: Final = 130
