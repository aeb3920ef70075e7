"""The operator may do exactly what its code does: its role is compared with recorded calls."""

import ast
import inspect
from typing import Any

import pytest

from fake_kube import FakeKube
from packaging_rights import Right, granted, rights_for
from rendered import Rendered
from ringfence import handlers, kinds, plan
from ringfence.api import Json
from ringfence.books import Books
from ringfence.freshness import Freshness
from ringfence.kinds import (
    EVENT,
    NETWORK_POLICY,
    POD,
    SANDBOX,
    SANDBOX_CLASS,
    SANDBOX_NODE,
    SERVICE_ACCOUNT,
    WATCHED,
    ApiError,
    Kind,
)
from ringfence.reconcile import Reconciler
from ringfence.resync import Known, Resync
from ringfence.uids import Uids
from ringfence.workqueue import Key, WorkQueue
from samples import NOW, SETTINGS, sandbox, sandbox_class, sandbox_node

KEY = Key("agents", "demo")


class Recorder(FakeKube):
    """Notes every call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: set[tuple[str, Kind]] = set()
        self.fault = self._note

    def _note(self, call: str, kind: Kind) -> ApiError | None:
        self.calls.add((call, kind))
        return None


class Case:
    """A Sandbox that was reconciled once."""

    def __init__(self, **rules: Any) -> None:
        self.kube = Recorder()
        self.kube.put(SANDBOX_CLASS, sandbox_class(**rules))
        self.kube.put(SANDBOX, sandbox())
        uids = Uids(SETTINGS.uid_first, SETTINGS.uid_last)
        books = Books.empty(NOW.timestamp)
        books.heartbeats.enter(sandbox_node())
        self.reconcile = Reconciler(self.kube, SETTINGS, uids, books, lambda: NOW)

    def child(self, kind: Kind) -> Json:
        return self.kube.objects[kind, *KEY]


@pytest.fixture
async def recorded() -> set[tuple[str, Kind]]:
    """Every call of: start, create, drift of each sort that is answered by a deletion."""
    case = Case()
    await _list_all(case.kube)
    await case.reconcile(KEY)
    account = case.child(SERVICE_ACCOUNT)["metadata"]
    account["annotations"] = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/stolen"}
    await case.reconcile(KEY)
    case.child(POD)["spec"]["securityContext"]["runAsUser"] = 0
    await case.reconcile(KEY)
    behind = Case(egress={"mode": "Gateway"})
    await behind.reconcile(KEY)
    return case.kube.calls | behind.kube.calls


async def _list_all(kube: Recorder) -> None:
    async def never(_: Key) -> None: ...

    queue: WorkQueue = WorkQueue()
    fresh = Freshness(NOW.timestamp)
    resync = Resync(kube, queue, Known(), fresh, lambda _kind, _bodies: None, lambda: None)
    await resync.first()


def _watched() -> set[Kind]:
    """The kinds that the real registry of handlers watches."""
    books = Books.empty(NOW.timestamp)
    intake = handlers.Intake(WorkQueue(), Known(), books, lambda: None, lambda: None)
    found: Any = handlers.registry(intake)._watching.get_all_handlers()
    plurals = {h.selector.any_name or h.selector.plural for h in found}
    return {kind for kind in kinds.ALL if kind.plural in plurals and kind is not EVENT}


def operator_rights(chart: Rendered) -> set[Right]:
    """What the ClusterRole of the operator allows."""
    return granted(chart.one("ClusterRole", "ringfence-operator"))


def test_operator_watches_what_it_should() -> None:
    assert _watched() == {SANDBOX, SANDBOX_CLASS, SANDBOX_NODE, *WATCHED}


async def test_role_grants_exactly_the_verbs_in_use(
    chart: Rendered, recorded: set[tuple[str, Kind]]
) -> None:
    used = {right for call, kind in recorded for right in rights_for(call, kind)}
    used |= {right for kind in _watched() for right in rights_for("watch", kind)}
    assert operator_rights(chart) == used


async def test_recording_covers_every_kind_that_the_plan_removes(
    recorded: set[tuple[str, Kind]],
) -> None:
    tree = ast.parse(inspect.getsource(plan))
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    removals = [
        n.args[0] for n in calls if isinstance(n.func, ast.Name) and n.func.id == "_removal"
    ]
    names = {node.id for node in removals if isinstance(node, ast.Name)}
    assert len(names) == len({ast.dump(node) for node in removals})
    assert {getattr(kinds, n) for n in names} == {k for call, k in recorded if call == "delete"}


def test_operator_may_not_read_secrets_nor_grant_rights(chart: Rendered) -> None:
    assert not {r.resource for r in operator_rights(chart)} & {
        "secrets",
        "roles",
        "clusterroles",
        "*",
    }
    assert not {r.verb for r in operator_rights(chart)} & {"*", "escalate", "bind", "impersonate"}


def test_only_the_operator_is_bound_to_the_role(chart: Rendered) -> None:
    binding = chart.one("ClusterRoleBinding", "ringfence-operator")
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "ringfence-operator", "namespace": "ringfence-system"}
    ]


def test_people_may_create_sandboxes_but_never_write_their_status(chart: Rendered) -> None:
    edit = chart.one("ClusterRole", "ringfence-edit")
    view = chart.one("ClusterRole", "ringfence-view")
    assert {v for r in view["rules"] for v in r["verbs"]} == {"get", "list", "watch"}
    resources = {r for rule in (*edit["rules"], *view["rules"]) for r in rule["resources"]}
    assert resources == {"sandboxes", "sandboxclasses", "sandboxnodes"}
    writable = [r["resources"] for r in edit["rules"] if "create" in r["verbs"]]
    assert writable == [["sandboxes"]]


def test_network_policies_are_never_deleted_by_the_operator(chart: Rendered) -> None:
    assert Right("networking.k8s.io", NETWORK_POLICY.plural, "delete") not in operator_rights(chart)
