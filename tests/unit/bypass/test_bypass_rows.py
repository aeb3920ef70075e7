"""The rows name attempts that exist, and the program that runs them needs nothing but Python."""

import importlib
import inspect
import json
import subprocess
import sys

import pytest

from bypass.model import Layer, Proof, Row
from bypass.probes.hello import TRICKS
from bypass.program import program
from bypass.rows import ROWS
from bypass.rows.outward import ROWS as OUTWARD


def test_names_are_unique() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row_calls_an_attempt_that_exists_with_arguments_that_it_takes(row: Row) -> None:
    module, _, function = row.probe.partition(".")
    attempt = getattr(importlib.import_module(f"bypass.probes.{module}"), function)
    inspect.signature(attempt).bind(**row.args)


def test_row_that_leads_the_proxy_says_where_to() -> None:
    assert all((row.proof is Proof.DIAL) == (row.dials is not None) for row in ROWS)


def test_most_ways_out_of_the_pod_are_shut_by_the_packet_filter_alone() -> None:
    """What a cluster without it would leave open is the reason why there is one."""
    alone = [row for row in OUTWARD if row.layers == (Layer.FENCE,)]
    assert len(alone) > 20


def test_program_runs_without_any_module_of_ours() -> None:
    rows = [row for row in ROWS if row.name == "ipv4-loopback"]
    argv = [sys.executable, "-I", "-S", "-"]
    done = subprocess.run(argv, input=program(rows), capture_output=True, text=True, check=False)
    line = json.loads(done.stdout)
    assert (line["row"], line["outcome"]) == ("ipv4-loopback", "through"), done.stderr
    assert line["start"] < line["end"]


def test_attempt_that_fails_by_itself_is_told_as_untried() -> None:
    broken = Row("broken", "what", "ways.tcp", {"address": "127.0.0.1", "port": "no number"})
    argv = [sys.executable, "-I", "-S", "-"]
    done = subprocess.run(
        argv, input=program([broken]), capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout)["outcome"] == "untried"


@pytest.mark.parametrize("which", TRICKS)
def test_every_trick_has_something_to_send(which: str) -> None:
    assert TRICKS[which]("allowed.bypass.test", "unlisted.bypass.test")


def test_server_name_is_put_where_a_server_looks_for_it() -> None:
    hello = TRICKS["upper case"]("allowed.bypass.test", "")
    assert hello[3:5] == (len(hello) - 5).to_bytes(2, "big")
    assert hello.count(b"ALLOWED.BYPASS.TEST") == 1
