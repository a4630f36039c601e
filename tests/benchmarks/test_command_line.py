"""The command line: what is asked for is what is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.__main__ import FULL_ROUNDS, QUICK_ROUNDS, check, everything, parse, sides_of
from benchmarks.child import BenchmarkError
from benchmarks.floors import FLOORS
from benchmarks.peers import PEERS
from benchmarks.peers.__main__ import main as list_peers
from benchmarks.workloads import USUAL, WORKLOADS

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.results import Results


def test_without_arguments_the_usual_workloads_are_measured() -> None:
    """Against whom each is mostly held."""
    options = parse([])
    assert (options.workloads, options.peers, options.rounds) == (list(USUAL), [], FULL_ROUNDS)


def test_quick_means_fewer_rounds_unless_they_are_given() -> None:
    """An explicit number wins."""
    assert parse(["--quick"]).rounds == QUICK_ROUNDS
    assert parse(["--quick", "--rounds", "3"]).rounds == 3


def test_workloads_and_peers_are_lists_with_commas() -> None:
    """As the help says."""
    options = parse(["--workloads", "echo50,udp", "--peers", "gevent,bare_epoll"])
    assert (options.workloads, options.peers) == (["echo50", "udp"], ["gevent", "bare_epoll"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workloads", "echo51"], "no such workload: echo51"),
        (["--rounds", "0"], "argument --rounds: must be a whole number, at least 1, not 0"),
        (["--rounds", "few"], "argument --rounds: must be a whole number, at least 1, not few"),
        (["--peers"], "expected one argument"),
        (["--output", "docs"], "--output is for --all"),
        (["--from", "run.json"], "--from is for --all"),
    ],
)
def test_nonsense_is_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the usage and the reason, and before anything is started."""
    with pytest.raises(SystemExit):
        parse(arguments)
    errors = capsys.readouterr().err
    assert "usage: python -m benchmarks" in errors
    assert message in errors


def test_help_names_the_workloads_and_where_the_servers_are_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`--peers` and `--subject` want names."""
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in WORKLOADS)
    assert "python -m benchmarks.peers" in text


def test_list_of_servers_has_the_name_in_a_column_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also the longest one."""
    monkeypatch.setattr("sys.argv", ["peers"])
    with pytest.raises(SystemExit) as caught:
        list_peers()
    words = {line.split()[0] for line in str(caught.value).splitlines()[3:]}
    assert words == set(PEERS)


def test_who_takes_part_is_who_was_asked_for_or_else_whom_the_workload_is_held_against() -> None:
    """Nobody is measured in the place of another."""
    sides = {"ours": "trioserver", "gevent": "gevent"}
    assert sides_of(WORKLOADS["echo50"], sides) == sides_of(WORKLOADS["ping50"], sides) == sides
    nobody = {"ours": "trioserver"}
    assert sides_of(WORKLOADS["echo50"], nobody) == nobody | {"trio_serve_tcp": "trio_serve_tcp"}
    assert sides_of(WORKLOADS["ping50"], nobody) == nobody | {"redis": "redis"}


def test_targets_are_those_that_a_whole_run_is_held_to() -> None:
    """One number for one thing."""
    wanted = {(floor.workload, floor.theirs, floor.metric.key): floor.wanted for floor in FLOORS}
    targets = {
        (workload.name, workload.against, key): target
        for workload in WORKLOADS.values()
        for key, target in workload.targets.items()
    }
    assert {each: targets.get(each) for each in wanted if each[1] == "trio_serve_tcp"} == {
        each: target for each, target in wanted.items() if each[1] == "trio_serve_tcp"
    }


def test_documents_are_made_from_a_run_that_was_kept(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without measuring anything, into the folder that is named."""
    results.save(tmp_path / "run.json")
    options = parse(["--all", "--from", str(tmp_path / "run.json"), "--output", str(tmp_path)])
    assert everything(options) == 0
    assert (tmp_path / "performance-figures.md").read_text().strip() in capsys.readouterr().out
    assert (tmp_path / "performance-rate.svg").exists()


@pytest.mark.parametrize(
    ("workload", "server", "message"),
    [("echo50", "nobody", "no such server: nobody"), ("workers", "trioserver", "but trioserver_one_worker")],
)
def test_a_server_that_can_not_be_measured_is_refused(workload: str, server: str, message: str) -> None:
    """With the names of those that can, and before anything is started."""
    with pytest.raises(BenchmarkError, match=message):
        check(WORKLOADS[workload], server)
