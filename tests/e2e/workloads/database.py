"""sqlite as an agent uses it: write-ahead log, memory map, several writers at once, backup.

Runs inside a Sandbox. It stands for sqlite's own tests, which Debian's package of CPython's tests
does not hold.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

FILE = Path("/work/data.db")
WRITERS, ROWS = 4, 200


def connect(file: Path) -> sqlite3.Connection:
    """Return a connection that waits for the locks of others."""
    connection = sqlite3.connect(file, timeout=60, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma mmap_size = 1048576")
    return connection


def write(writer: int) -> None:
    """Add this writer's rows, each in a transaction of its own."""
    with closing(connect(FILE)) as connection:
        for row in range(ROWS):
            connection.execute("begin immediate")
            connection.execute("insert into rows values (?, ?)", (writer, row))
            connection.execute("commit")


def main() -> None:
    """Let several processes write at once, then look at what they left."""
    with closing(connect(FILE)) as connection:
        connection.execute("create table rows (writer, row)")
        command = [sys.executable, __file__]
        writers = [subprocess.Popen([*command, str(number)]) for number in range(WRITERS)]
        assert [process.wait() for process in writers] == [0] * WRITERS
        with closing(sqlite3.connect(FILE.with_suffix(".copy"))) as copy:
            connection.backup(copy)
            (count,) = copy.execute("select count(*) from rows").fetchone()
        assert count == WRITERS * ROWS
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    sys.stdout.write("works\n")


if __name__ == "__main__":
    write(int(sys.argv[1])) if sys.argv[1:] else main()
