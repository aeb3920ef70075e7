"""The Pods of the table, and running rows in them. I/O.

`target` is the Sandbox under attack, `neighbour` another one. `free` is a Pod without any fence, as
root: what does not get through there proves nothing. `server` is what a cluster has besides.
"""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from subprocess import PIPE
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import support
from bypass import places
from bypass.internet import GATEWAY_6, POD_PREFIX_6
from bypass.model import Judged, Place, Proof, Row, Seen, judge
from bypass.program import prelude, program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bypass.internet import Internet
    from cluster import Cluster
    from support import Json

_LISTEN: Final = """
import socket, sys
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    connection.close()
"""
_UNFENCED: Final = {"bypass": "unfenced"}
_CAPABILITIES: Final = ("NET_ADMIN", "NET_RAW", "SETUID", "SETGID", "CHOWN", "NET_BIND_SERVICE")
_WAIT: Final = ("--for=condition=Ready", "--timeout=60s")


def _listener(port: int) -> list[str]:
    return ["python3", "-c", _LISTEN, str(port)]


@dataclass(frozen=True)
class Pod:
    """A Pod that rows can run in."""

    name: str
    container: str
    address: str
    uid: str


class Stage:
    """Everything on the cluster's side."""

    def __init__(self, cluster: Cluster, namespace: str, internet: Internet) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.internet = internet
        self.gateways = f"{namespace}-gateway"
        """Class of Sandboxes whose proxy is a Pod of its own."""
        self._addresses = iter(range(0x20, 0x100))
        self._words: dict[str, str] = {}

    def build(self) -> None:
        """Makes the Pods; `target` and the others can be had with `pod` afterwards."""
        self._make_class(self.namespace)
        self._make_class(self.gateways, mode="Gateway")
        self.sandboxes("target", "neighbour")
        support.apply(self.cluster, *self._others())
        self._kubectl("wait", *_WAIT, "pod/free", "pod/server")
        for name in ("target", "neighbour"):
            support.wait_ready(self.cluster, self.namespace, name)
        for name in ("target", "free"):
            self.join_ipv6(self.pod(name))
        self._words = self._known()

    def sandboxes(self, *names: str, **spec: Any) -> None:
        """Creates Sandboxes with the table's allowlist, and something that listens in them."""
        allow: list[Json] = [{"host": host} for host in places.LISTED]
        allow.append({"host": places.ALLOWED, "ports": [8443]})
        usual = {"command": _listener(places.INBOUND_PORT), "egress": {"allow": allow}}
        wanted = {**usual, "className": self.namespace, **spec}
        bodies = [support.body(self.namespace, name, **wanted) for name in names]
        support.apply(self.cluster, *bodies)

    def remove(self) -> None:
        """Removes what outlives the namespace."""
        made = (self.namespace, self.gateways)
        self.cluster.kubectl("delete", "sandboxclass", *made, "--ignore-not-found")

    def _make_class(self, name: str, **egress: str) -> None:
        text = self.cluster.kubectl("get", "sandboxclass", "standard", "-o", "json")
        permitted = [{"host": host, "ports": [443, 8443]} for host in places.LISTED]
        spec = json.loads(text)["spec"] | {"egress": {"permitted": permitted, **egress}}
        kind = {"apiVersion": "ringfence.dev/v1alpha1", "kind": "SandboxClass"}
        support.apply(self.cluster, {**kind, "metadata": {"name": name}, "spec": spec})

    def _others(self) -> Iterator[Json]:
        image = json.loads(self.cluster.kubectl("get", "sandboxclass", "standard", "-o", "json"))
        shown = {"image": image["spec"]["images"]["default"], "imagePullPolicy": "IfNotPresent"}
        rights = {"runAsUser": 0, "capabilities": {"add": list(_CAPABILITIES)}}
        free = {
            **shown,
            "name": "agent",
            "command": ["sleep", "infinity"],
            "securityContext": {**rights, "seccompProfile": {"type": "Unconfined"}},
        }
        yield self._plain_pod("free", free)
        listener = _listener(places.SERVER_PORT)
        yield self._plain_pod("server", {**shown, "name": "agent", "command": listener})
        port = {"port": 80, "targetPort": places.SERVER_PORT, "nodePort": places.NODE_PORT}
        spec = {"type": "NodePort", "selector": {"app": "server"}, "ports": [port]}
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self._meta("server"),
            "spec": spec,
        }

    def _plain_pod(self, name: str, container: Json) -> Json:
        spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": self._meta(name), "spec": spec}

    def _meta(self, name: str) -> Json:
        return {"name": name, "namespace": self.namespace, "labels": {"app": name}}

    def pod(self, name: str) -> Pod:
        """A Pod that runs."""
        found = support.get(self.cluster, "pod", self.namespace, name)
        assert found is not None
        return Pod(name, "agent", found["status"]["podIP"], found["metadata"]["uid"])

    def unfenced(self) -> Pod:
        """The target's Pod once more, behind the same NetworkPolicy, but without the packet filter.

        The node agent takes a Pod without the Sandbox's label for anybody's.
        """
        original = support.get(self.cluster, "pod", self.namespace, "target")
        policy = support.get(self.cluster, "networkpolicy", self.namespace, "target")
        assert original is not None
        assert policy is not None
        copied = {"metadata": {**self._meta("unfenced"), "labels": _UNFENCED}}
        selector = {"podSelector": {"matchLabels": _UNFENCED}}
        same = {"apiVersion": policy["apiVersion"], "kind": policy["kind"], **copied}
        support.apply(self.cluster, {**same, "spec": policy["spec"] | selector})
        body = {"apiVersion": "v1", "kind": "Pod", **copied, "spec": _bare(original["spec"])}
        self.cluster.kubectl("create", "-f", "-", input=json.dumps(body))
        self._kubectl("wait", *_WAIT, "pod/unfenced")
        made = self.pod("unfenced")
        self.join_ipv6(made)
        return made

    def join_ipv6(self, pod: Pod) -> None:
        """Gives a Pod an IPv6 address and a default route, as a dual-stack cluster would."""
        address = f"{POD_PREFIX_6}{next(self._addresses):x}/64"
        self.in_network(pod, "ip", "-6", "address", "add", address, "dev", "eth0", "nodad")
        route = ("default", "via", GATEWAY_6, "dev", "eth0")
        self.in_network(pod, "ip", "-6", "route", "replace", *route)

    def in_network(self, pod: Pod, *argv: str) -> str:
        """Runs a program of the node in a Pod's network namespace."""
        find = f"grep -l {pod.uid} /proc/[0-9]*/cgroup | head -1"
        path = self.cluster.node_exec("sh", "-c", find).stdout.strip()
        found = re.fullmatch(r"/proc/(\d+)/cgroup", path)
        assert found, path
        enter = ("nsenter", f"--net=/proc/{found[1]}/ns/net", "--")
        return self.cluster.node_exec(*enter, *argv).stdout

    def _known(self) -> dict[str, str]:
        """What rows name in braces."""
        dns = support.items(self.cluster, "pods", "kube-system", "k8s-app=kube-dns")
        service = support.get(self.cluster, "service", self.namespace, "server")
        assert service is not None
        pods = {name: self.pod(name).address for name in ("server", "neighbour")}
        addresses = {"resolver": dns[0]["status"]["podIP"], "service": service["spec"]["clusterIP"]}
        return {f"{{{word}}}": address for word, address in {**pods, **addresses}.items()}

    def run(self, pod: Pod, rows: Sequence[Row]) -> dict[str, Seen]:
        """Runs rows in a Pod, one after the other."""
        argv = ("exec", "-i", pod.name, "-c", pod.container, "--", "python3", "-I", "-S", "-")
        told = self._kubectl(*argv, input=program([self._filled(row) for row in rows]))
        lines = [json.loads(line) for line in told.splitlines()]
        return {line["row"]: self._seen(line) for line in lines}

    def _filled(self, row: Row) -> Row:
        filled = {
            k: self._words.get(v, v) if isinstance(v, str) else v for k, v in row.args.items()
        }
        return Row(row.name, row.what, row.probe, filled)

    def _seen(self, line: Json) -> Seen:
        return Seen(**line, arrivals=self.internet.between(line["start"], line["end"]))

    def reachable(self, rows: Sequence[Row]) -> set[str]:
        """Names of the rows whose targets somebody who is allowed reaches."""
        free, owner = self.pod("free"), self.pod("neighbour")
        same = [row for row in rows if row.proof is Proof.SAME and not row.allowed]
        own = [row for row in rows if row.proof is Proof.OWNER]
        ran = self.run(free, same) | self.run(owner, own)
        dialled = self._dialled(free, {row.dials for row in rows if row.dials})
        shown = {row.name for row in (*same, *own) if ran[row.name].passed(row)}
        evident = (Proof.ITSELF, Proof.FILTER, Proof.NONE)
        shown |= {row.name for row in rows if row.proof in evident or row.allowed}
        return shown | {r.name for r in rows if r.proof is Proof.DIAL and r.dials in dialled}

    def _dialled(self, free: Pod, wanted: set[Place]) -> set[Place]:
        rows = {place: Row(f"dial {place}", "", "ways.tcp", place._asdict()) for place in wanted}
        ran = self.run(free, list(rows.values()))
        return {place for place, row in rows.items() if ran[row.name].outcome == "through"}

    def judged(self, pod: Pod, rows: Sequence[Row], reachable: set[str]) -> list[Judged]:
        """The verdicts on one Pod."""
        ran = self.run(pod, rows)
        return [judge(row, ran[row.name], reachable=row.name in reachable) for row in rows]

    def bash(self, name: str, script: str) -> str:
        """Runs a script in a Pod."""
        return self._kubectl("exec", name, "-c", "agent", "--", "bash", "-c", script)

    @contextmanager
    def besieged(self, name: str, host: str, address: str, *, squat: bool) -> Iterator[Json]:
        """Runs probes.siege in a Sandbox; what it told is there when the block has ended."""
        call = f"siege.hold({host!r}, {address!r}, squat={squat!r})"
        argv = [
            str(self.cluster.paths.bin / "kubectl"),
            "--kubeconfig",
            str(self.cluster.kubeconfig),
        ]
        argv += ["exec", "-i", "-n", self.namespace, name, "-c", "agent", "--"]
        told: Json = {}
        with subprocess.Popen(
            [*argv, "python3", "-I", "-S", "-"], stdin=PIPE, stdout=PIPE, text=True
        ) as program_:
            assert program_.stdin
            assert program_.stdout
            program_.stdin.write(f"{prelude()}\n{call}\n")
            program_.stdin.close()
            assert program_.stdout.readline() == "ready\n"
            yield told
            told |= json.loads(program_.stdout.read())

    def kill_proxy(self, name: str) -> None:
        """Ends the proxy of a Sandbox as the kernel would when memory runs out."""
        body = support.get(self.cluster, "pod", self.namespace, name)
        assert body is not None
        statuses = body["status"]["initContainerStatuses"]
        (identity,) = [
            s["containerID"].rpartition("/")[2] for s in statuses if s["name"] == "egress-proxy"
        ]
        tasks = self.cluster.node_exec("ctr", "-n", "k8s.io", "task", "ls").stdout.splitlines()
        (pid,) = [line.split()[1] for line in tasks if line.startswith(identity)]
        self.cluster.node_exec("kill", "-9", pid)

    def _kubectl(self, *words: str, input: str | None = None) -> str:  # noqa: A002 - as in Cluster
        return self.cluster.kubectl(words[0], "-n", self.namespace, *words[1:], input=input)


def _bare(spec: Json) -> Json:
    """Without what the node agent or its guard would be needed for."""
    kept = deepcopy(spec)
    for field in ("nodeName", "serviceAccount", "tolerations", "priority", "preemptionPolicy"):
        kept.pop(field, None)
    sidecars = [c for c in kept["initContainers"] if c["name"] != "guard"]
    for sidecar in sidecars:
        sidecar.pop("lifecycle", None)
    return kept | {"initContainers": sidecars}


@contextmanager
def staged(cluster: Cluster, internet: Internet) -> Iterator[Stage]:
    """A stage in a namespace of its own, without Pod Security: `free` is privileged."""
    name = f"bypass-{uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    stage = Stage(cluster, name, internet)
    try:
        stage.build()
        yield stage
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")
        stage.remove()
