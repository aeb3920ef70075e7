"""`make bypass`: brings everything up, runs the table in a Sandbox and shows it.

`python -m bypass --json` prints JSON. Exit codes: 0 every row holds, 1 some row does not.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import product
from bypass import report
from bypass.internet import open_internet
from bypass.rows import ROWS
from bypass.stage import staged
from cluster.progress import Progress


def main() -> int:
    """Runs every row; the exit code."""
    cluster = product.up(Progress())
    with (
        tempfile.TemporaryDirectory() as directory,
        open_internet(cluster, Path(directory)) as internet,
        staged(cluster, internet) as stage,
    ):
        judged = stage.judged(stage.pod("target"), ROWS, stage.reachable(ROWS))
    document = f"{json.dumps(report.document(judged), indent=1)}\n"
    sys.stdout.write(document if "--json" in sys.argv else report.table(judged))
    return 0 if all(one.holds for one in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
