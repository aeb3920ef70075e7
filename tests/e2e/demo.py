"""`make demo`: from nothing to real work in a Sandbox, with the time of every step.

It leaves the cluster up. What it runs, a user can run: the commands are printed.
"""

import sys

import product
import support
from cluster import Cluster, ClusterError
from cluster.progress import Progress

NAMESPACE = "agents"
NAME = "demo"
SAMPLE = product.REPOSITORY / "manifests" / "samples" / "sandbox.yaml"

JOB = """
import pathlib, matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt, numpy as np, pandas as pd, seaborn as sns
data = pathlib.Path(matplotlib.get_data_path()) / "sample_data" / "Stocks.csv"
prices = pd.read_csv(data, comment="#", index_col=0, parse_dates=True)
monthly = prices.resample("ME").mean()
out = pathlib.Path("/work/out")
out.mkdir(exist_ok=True)
monthly.to_csv(out / "stocks.csv")
monthly.to_excel(out / "stocks.xlsx")
sns.lineplot(data=np.log(monthly))
plt.savefig(out / "stocks.png", dpi=80)
print(f"{len(prices)} days of {prices.shape[1]} shares, drawn by seaborn {sns.__version__}")
"""


def main() -> int:
    """Runs the demo; 0 if all of it worked."""
    progress = Progress()
    try:
        cluster = product.up(progress)
        _demonstrate(cluster, progress)
    except ClusterError as error:
        progress.note(f"[red]{error}[/]")
        return 1
    progress.note(f"Everything took {progress.elapsed:.0f} s.")
    return 0


def _demonstrate(cluster: Cluster, progress: Progress) -> None:
    with progress.step("kubectl apply -f manifests/samples/sandbox.yaml"):
        cluster.kubectl("apply", "-f", str(SAMPLE))
    with progress.step(f"kubectl wait --for=condition=Ready sandbox/{NAME}"):
        where = ("-n", NAMESPACE, "--timeout=90s")
        cluster.kubectl("wait", "--for=condition=Ready", f"sandbox/{NAME}", *where)
    with progress.step("pip install seaborn, through the egress proxy"):
        _run(cluster, "pip", "install", "--quiet", "--upgrade", "seaborn")
    with progress.step("pandas, numpy and matplotlib: CSV, XLSX and PNG from a real data file"):
        said = support.python(cluster, NAMESPACE, NAME, JOB)
    _tell(cluster, said)


def _run(cluster: Cluster, *argv: str) -> str:
    return support.execute(cluster, NAMESPACE, NAME, *argv)


def _tell(cluster: Cluster, said: str) -> None:
    where = f"--kubeconfig {cluster.kubeconfig} -n {NAMESPACE}"
    kubectl = cluster.paths.bin / "kubectl"
    refused = _refused(cluster)
    sections = {
        "The job said": said,
        "ls -l /work/out": _run(cluster, "ls", "-l", "/work/out"),
        "curl https://example.com, from inside": refused,
        "kubectl get sandbox": cluster.kubectl(
            "get", "sandbox", NAME, "-n", NAMESPACE, "-o", "wide"
        ),
        "status.isolation": _layers(cluster),
        "Look around": f"{kubectl} {where} exec -it {NAME} -c agent -- bash\n",
        "Take it down": "make down\n",
    }
    for title, text in sections.items():
        sys.stdout.write(f"\n{title}:\n" + "".join(f"  {line}\n" for line in text.splitlines()))


def _refused(cluster: Cluster) -> str:
    """What a destination gets that is not on the allowlist."""
    program = (
        "import urllib.request as r\n"
        "try: print(r.urlopen('https://example.com', timeout=5).status)\n"
        "except OSError as error: print(error)\n"
    )
    return support.python(cluster, NAMESPACE, NAME, program)


def _layers(cluster: Cluster) -> str:
    found = support.get(cluster, "sandbox", NAMESPACE, NAME) or {}
    layers = found["status"]["isolation"]
    return "".join(f"{n:<11} {s['state']:<13} {s['message']}\n" for n, s in layers.items())


if __name__ == "__main__":
    sys.exit(main())
