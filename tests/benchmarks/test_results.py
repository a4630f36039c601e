"""Ratios, quartiles, and what is kept of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.report import Quartiles, short
from benchmarks.results import Results
from benchmarks.sample import Metric, Sample

if TYPE_CHECKING:
    from pathlib import Path

COST = Metric("cost", "cost")
GAIN = Metric("gain", "gain", more_is_better=True)


def test_ratio_of_a_cost_is_more_than_one_when_ours_is_less() -> None:
    """Ours costs half: twice as good."""
    assert COST.ratio(5, 10) == 2


def test_ratio_of_a_gain_is_more_than_one_when_ours_is_more() -> None:
    """Ours gains twice as much: twice as good."""
    assert GAIN.ratio(10, 5) == 2


def test_ratio_to_nothing_is_infinite() -> None:
    """A server that did nothing is no reason for a ZeroDivisionError at the end of a long run."""
    assert GAIN.ratio(1, 0) == float("inf")


@pytest.mark.parametrize(
    ("values", "quartiles"),
    [([4, 1, 3, 2, 5], (2, 3, 4)), ([7], (7, 7, 7)), ([1, 2], (1.25, 1.5, 1.75))],
)
def test_quartiles_of_few_values(values: list[float], quartiles: tuple[float, float, float]) -> None:
    """Also of a single one, which statistics.quantiles refuses."""
    assert Quartiles.of(values) == Quartiles(*quartiles)


@pytest.mark.parametrize(
    ("value", "text"), [(0.01234, "0.0123"), (1.5, "1.50"), (43_210.0, "43,210"), (0.0, "0.0")]
)
def test_figures_are_printed_with_three_digits_that_mean_something(value: float, text: str) -> None:
    """And with thousands apart."""
    assert short(value) == text


def two_rounds() -> Results:
    """The second round is three times as slow, for both."""
    fast = {
        "ours": Sample({"cost": 1.0}, 0, {"more": 7.0}),
        "theirs": Sample({"cost": 2.0}, 0, {"more": 8.0}),
    }
    slow = {
        "ours": Sample({"cost": 3.0}, 0, {"more": 9.0}),
        "theirs": Sample({"cost": 6.0}, 2, {"more": 9.0}),
    }
    return Results({"cpu": "Abacus"}, {"echo": [fast, slow]}, ["somebody left out"], quick=True)


def test_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    """What slows a whole round down does not change it."""
    assert two_rounds().ratio("echo", COST, "ours", "theirs") == Quartiles(2, 2, 2)


def test_ratio_with_a_server_that_was_left_out_is_none() -> None:
    """In this workload, or in the whole run."""
    assert two_rounds().ratio("echo", COST, "ours", "nobody") is None
    assert two_rounds().ratio("bulk", COST, "ours", "theirs") is None


def test_figures_that_are_only_kept_can_be_asked_for_like_the_others() -> None:
    """The plots need latencies, which no ratio is made of."""
    assert two_rounds().figures("echo", "more", "ours") == [7, 9]
    assert two_rounds().median("echo", "cost", "theirs") == 4


def test_errors_are_told_by_workload_and_server() -> None:
    """A figure beside an error is worth nothing."""
    (sentence,) = two_rounds().errors()
    assert sentence.startswith("echo: theirs made 2 error(s)")


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    """So that documents and plots need no second run."""
    two_rounds().save(tmp_path / "run.json")
    assert Results.load(tmp_path / "run.json") == two_rounds()
