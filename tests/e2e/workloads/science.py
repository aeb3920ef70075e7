"""numpy, pandas and matplotlib as a data job uses them: files, threads, processes, shared memory.

Runs inside a Sandbox with nothing but the sandbox image.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing import shared_memory
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

ROWS = 10_000
OUT = Path("/work/science")


def table() -> pd.DataFrame:
    """Return a table of random walks."""
    walks = np.random.default_rng(7).normal(size=(ROWS, 4)).cumsum(axis=0)
    return pd.DataFrame(walks, columns=list("abcd"))


def files(data: pd.DataFrame) -> None:
    """Write and read the table in every format of the image, and draw it."""
    data.to_csv(OUT / "walks.csv", index=False)
    data.head(500).to_excel(OUT / "walks.xlsx", index=False)
    assert np.allclose(pd.read_csv(OUT / "walks.csv"), data)
    assert len(pd.read_excel(OUT / "walks.xlsx")) == 500
    data.plot()
    plt.savefig(OUT / "walks.png")
    assert (OUT / "walks.png").read_bytes()[:4] == b"\x89PNG"


def algebra() -> None:
    """Use OpenBLAS with its threads."""
    matrix = np.random.default_rng(7).random((400, 400))
    assert np.allclose(np.linalg.inv(matrix) @ matrix, np.eye(400), atol=1e-6)


def mean(name: str) -> float:
    """Return the mean of the numbers in a shared memory block."""
    block = shared_memory.SharedMemory(name=name)
    result = float(np.ndarray((ROWS,), buffer=block.buf).mean())
    block.close()
    return result


def processes(method: str) -> None:
    """Share memory with processes of one start method."""
    numbers = np.arange(ROWS, dtype=float)
    block = shared_memory.SharedMemory(create=True, size=numbers.nbytes)
    np.ndarray((ROWS,), buffer=block.buf)[:] = numbers
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(mean, [block.name] * 4) == [numbers.mean()] * 4
    block.close()
    block.unlink()


def main() -> None:
    """Run all of it."""
    OUT.mkdir(exist_ok=True)
    files(table())
    algebra()
    for method in ("fork", "spawn", "forkserver"):
        processes(method)
    os.mkfifo(OUT / "pipe")
    sys.stdout.write("works\n")


if __name__ == "__main__":
    main()
