"""The document: its tables have what was measured, and say what was not."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from benchmarks import document

if TYPE_CHECKING:
    from benchmarks.results import Results


def test_it_says_how_it_was_made_and_on_which_machine(results: Results) -> None:
    """Figures belong to one machine."""
    text = document.write(results)
    assert "Made by `nox -s bench`" in text
    assert "cpu Abacus, python CPython 3.11" in text


def test_a_quick_run_says_that_it_was_one(results: Results) -> None:
    """So that its figures are not taken for the others."""
    text = document.write(dataclasses.replace(results, quick=True))
    assert "nox -s bench -- --quick" in text
    assert "too coarse" in text


def test_a_ratio_stands_with_its_quartiles_in_the_row_of_the_other(results: Results) -> None:
    """serve_tcp costs 2.5 times as much in each round."""
    table = document.write(results).split("## trioserver against others: server CPU")[1].split("##")[0]
    (row,) = [line for line in table.splitlines() if line.startswith("| trio.serve_tcp")]
    assert row.count("2.50 (2.50..2.50)") == 7


def test_tables_are_rectangular(results: Results) -> None:
    """Each row has as many cells as the head above it."""
    tables = re.findall(r"(?:^\|.*\n)+", document.write(results), re.MULTILINE)
    assert len(tables) > 15
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_what_was_left_out_and_what_went_wrong_is_said(results: Results) -> None:
    """At the end, in sentences."""
    results.left_out = ["redis (ping) left out: redis-server not installed"]
    first = results.rounds["echo50"][0]
    first["gevent"] = dataclasses.replace(first["gevent"], errors=3)
    end = document.write(results).split("## Left out")[1]
    assert "- redis (ping) left out" in end
    assert "- echo50: gevent made 3 error(s)" in end


def test_tables_of_what_was_not_measured_are_left_out(results: Results) -> None:
    """Of a run without any round only the head is there."""
    text = document.write(dataclasses.replace(results, rounds={}))
    assert "|" not in text
