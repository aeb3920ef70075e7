"""Turns a Sandbox read from a cluster into test data of the Argo CD health check.

    kubectl -n agents get sandbox demo -o json | python -m helm.capture ready

writes testdata/ready.yaml beside the check. What differs from run to run (namespace, uids,
resource version, time stamps) is replaced, so that a new capture changes the file only where the
status changed.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any, Final

import yaml

Json = dict[str, Any]

TESTDATA: Final = (
    Path(__file__).resolve().parent.parent
    / "manifests/argocd/resource_customizations/ringfence.dev/Sandbox/testdata"
)
_UID: Final = "00000000-0000-4000-8000-000000000001"
_AGENT_UID: Final = 30000
_TIME: Final = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_NOISE: Final = ("managedFields", "resourceVersion", "selfLink")
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def cleaned(body: Json) -> str:
    """`body` as YAML without what differs from run to run."""
    meta = {k: v for k, v in body["metadata"].items() if k not in _NOISE}
    notes = {k: v for k, v in meta.pop("annotations", {}).items() if k != _LAST_APPLIED}
    meta |= {"uid": _UID, **({"annotations": notes} if notes else {})}
    body = {**body, "metadata": meta}
    if "uid" in body.get("status", {}):
        body["status"] = {**body["status"], "uid": _AGENT_UID}
    text = yaml.safe_dump(body, sort_keys=True, width=100)
    return _TIME.sub("2026-01-01T12:00:00Z", text.replace(meta["namespace"], "agents"))


def write(name: str, body: Json) -> Path:
    """Writes testdata/<name>.yaml."""
    path = TESTDATA / f"{name}.yaml"
    path.write_text(cleaned(body))
    return path


def main() -> int:
    """Reads a Sandbox as JSON from standard input."""
    parser = argparse.ArgumentParser(prog="python -m helm.capture", description=__doc__)
    parser.add_argument("name", help="name of the file below testdata/, without .yaml")
    path = write(parser.parse_args().name, json.load(sys.stdin))
    sys.stdout.write(f"wrote {path}; list it in health_test.yaml if it is new\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
