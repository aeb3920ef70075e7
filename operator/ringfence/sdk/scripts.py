"""Shell that runs inside a Sandbox: it starts a command so that all it starts can be found again.

Closing the connection of an exec does not end its command, and whoever wants to end it finds that
its children have left the process group, the session and the family. So the shell sets a mark that
every process passes on: the soft limit of file locks (RLIMIT_LOCKS), a number that Linux has not
looked at since 2.4 and that fork, exec, setsid, a second fork and an empty environment leave as it
is. Only a program that resets it on purpose gets away, inside a Sandbox that remains its own.

The image needs nothing but a POSIX shell, and the shell becomes the command: no process is added.
Pure: nothing here talks to a cluster.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ringfence.sdk.errors import InvalidArgument

SHELL: Final = "/bin/sh"
CANNOT_CHANGE_DIRECTORY: Final = 125
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LOWEST_MARK: Final = 1 << 40
"""Far above what anybody sets by hand, and within what every shell counts to."""

# $1 directory or nothing, then NAME=VALUE ... -- COMMAND ...
# Letters of the option: w in dash and busybox, x in bash. Where the limit cannot be set (another
# kernel), the shell stays, so that the first line of its arguments shows which session is meant.
_RUN: Final = """\
_rf_mark={mark}
{{ ulimit -S -w $_rf_mark || ulimit -S -x $_rf_mark; }} 2>/dev/null && _rf_set=1 || _rf_set=
if [ -n "$1" ]; then cd "$1" || exit 125; fi
shift
while [ "$1" != -- ]; do export "$1"; shift; done
shift
if [ "$_rf_set" ]; then unset _rf_set _rf_mark; exec "$@"; fi
unset _rf_set _rf_mark
"$@"
exit $?
"""

# $1 mark. Only builtins: at the limit of processes nothing could be started. All are stopped before
# the first one is killed: they keep their places, so that nobody can fork any more meanwhile.
# /proc/PID/stat: what follows the last `) ` is state, parent, group, session.
_KILL: Final = """\
sessions=' '
look() {
    [ "$1" = $$ ] && return 1
    { read -r stat < /proc/$1/stat; } 2>/dev/null || return 1
    set -- "$1" ${stat##*) }
    case $2 in Z|X) return 1;; esac
    state=$2
    case $sessions in *" $5 "*) return 0;; esac
    { read -r line < /proc/$1/cmdline; } 2>/dev/null
    case $line in *"$mark"*) sessions="$sessions$5 "; return 0;; esac
    while read -r line; do
        case $line in "Max file locks "*) break;; esac
    done 2>/dev/null < /proc/$1/limits
    case $line in *" $mark "*) return 0;; esac
    return 1
}
each() {
    found=
    for entry in /proc/[0-9]*; do
        line= stat=
        look "${entry#/proc/}" || continue
        case $1$state in STOP[Tt]) continue;; esac
        kill -$1 "${entry#/proc/}" 2>/dev/null
        found=1
    done
    [ "$found" ]
}
mark=$1 round=0
while each STOP; do round=$((round + 1)); [ $round -lt 50 ] || break; done
round=0
while each KILL; do round=$((round + 1)); [ $round -lt 50 ] || exit 1; done
exit 0
"""


def run(
    argv: Sequence[str], mark: str, cwd: str | None = None, env: Mapping[str, str] | None = None
) -> list[str]:
    """Argv that starts a command under a mark.

    Raises:
        InvalidArgument: Something that no command line can hold.
    """
    if not argv or not argv[0]:
        message = "there is no command to run"
        raise InvalidArgument(message)
    pairs = [f"{name}={value}" for name, value in (env or {}).items()]
    for name in env or {}:
        if not _NAME.fullmatch(name):
            message = f"{name!r} is no name of an environment variable"
            raise InvalidArgument(message)
    whole = [SHELL, "-c", _RUN.format(mark=mark), "ringfence", cwd or "", *pairs, "--", *argv]
    if any("\0" in word for word in whole):
        message = "a command, directory or variable holds a NUL character"
        raise InvalidArgument(message)
    return whole


def kill(mark: str) -> list[str]:
    """Argv that ends everything under a mark; exit status 0 once nothing is left."""
    return [SHELL, "-c", _KILL, "ringfence", mark]


def line(command: str) -> list[str]:
    """Argv of a command that is given as a line of shell."""
    return [SHELL, "-c", command]
