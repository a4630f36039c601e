"""What is measured: every server has its place, is documented, and is left out where it can not run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks import suite
from benchmarks.floors import BOUNDS, FLOORS, verdicts
from benchmarks.names import TITLES
from benchmarks.peers import PEERS
from benchmarks.peers.registry import Peer
from benchmarks.workloads import USUAL, WORKLOADS

if TYPE_CHECKING:
    from benchmarks.results import Results

README = Path(__file__).parents[2] / "benchmarks" / "README.md"


@pytest.mark.parametrize("name", PEERS)
def test_every_server_is_documented(name: str) -> None:
    """In benchmarks/README.md by its name, and in one line by its own docstring."""
    assert f"`{name}`" in README.read_text()
    assert PEERS[name].about.endswith((".", "``.", ")."))


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_is_documented(name: str) -> None:
    """By its name; those of a series by the name of the series."""
    series = name.rstrip("0123456789") if name.startswith(("rate", "echo")) else name
    assert f"`{series}" in README.read_text()


@pytest.mark.parametrize("quick", [False, True])
def test_servers_are_only_asked_for_what_they_can_do(quick: bool) -> None:
    """Each server of a stage knows the mode of its workload, and has a title for the tables."""
    for stage in suite.plan(quick, None):
        for server in stage.servers:
            assert stage.workload.mode in PEERS[server].modes
            assert server in TITLES


def test_the_list_of_servers_imports_none_of_their_libraries() -> None:
    """A server is measured with its own library and without those of the others."""
    libraries = ["asyncio", "trio", "trioserver", "socketserver", "uvloop", "gevent", "anyio"]
    code = f"import sys, benchmarks.peers; print([name for name in {libraries} if name in sys.modules])"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, cwd=README.parents[1], capture_output=True, text=True).stdout == "[]\n"


def test_usual_workloads_exist() -> None:
    """Those that ``python -m benchmarks`` measures by itself."""
    assert set(USUAL) <= set(WORKLOADS)


def test_everything_that_is_wanted_is_measured(results: Results) -> None:
    """Every floor and every bound has a verdict after a full run."""
    assert len(list(verdicts(results))) == len(FLOORS) + len(BOUNDS)


def test_a_floor_is_met_from_its_own_figure_on(results: Results) -> None:
    """With half of what serve_tcp costs, 2.5 is reached and 8 is not."""
    found = {
        each.workload: each.met
        for each in verdicts(results)
        if (each.ours, each.against) == ("trioserver", "trio.serve_tcp")
    }
    assert found["echo500"] is True
    assert found["pipe16"] is False


def test_a_server_that_needs_what_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a sentence that names it, the mode and what is missing; the others are measured."""
    lacking = Peer(
        PEERS["uvloop_streams"].serve, ("line",), modules=("no_such_module",), programs=("no-such-program",)
    )
    monkeypatch.setitem(PEERS, "uvloop_streams", lacking)
    stage = suite.Stage(WORKLOADS["echo50"], ("trioserver", "uvloop_streams"), 1)
    (kept,), sentences = suite.available([stage])
    assert kept.servers == ("trioserver",)
    assert sentences == ["uvloop_streams (line) left out: no_such_module, no-such-program not installed"]


def test_a_stage_without_servers_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started for it."""
    lacking = Peer(PEERS["redis"].serve, ("ping",), programs=("no-such-program",))
    monkeypatch.setitem(PEERS, "redis", lacking)
    stages, _ = suite.available([suite.Stage(WORKLOADS["ping50"], ("redis",), 1)])
    assert stages == []


def test_a_number_of_rounds_is_the_most_that_any_stage_has() -> None:
    """And does not make those longer that have fewer anyway."""
    assert {stage.rounds for stage in suite.plan(quick=False, rounds=2)} == {1, 2}


def test_the_quick_run_has_every_server_of_the_full_one() -> None:
    """Fewer workloads and rounds, but all of them once."""
    full, quick = (
        {server for stage in suite.plan(each, None) for server in stage.servers} for each in (False, True)
    )
    assert quick == full
