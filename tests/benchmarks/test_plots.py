"""Axes, labels, and that each plot is a picture that can be read."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from benchmarks import plots
from benchmarks.plots.axes import Linear, Log, around, microseconds
from benchmarks.plots.curves import HOPELESS, rates
from benchmarks.plots.svg import Flag, Label, Page, raise_flags, spread

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.results import Results

PLOTS = ("ratio", "ratio-plain", "connections", "latency", "rate")
SVG = "{http://www.w3.org/2000/svg}"


def test_each_octave_of_a_logarithmic_axis_is_as_wide() -> None:
    """Its ends are where they should be, and what is beyond them is put there."""
    axis = Log(1, 16, 100, 180)
    assert [axis(value) for value in (1, 2, 4, 16)] == pytest.approx([100, 120, 140, 180])
    assert (axis(0.1), axis(99)) == (100, 180)


def test_axes_may_run_upwards() -> None:
    """Pixels count from the top, and figures from the bottom."""
    assert Log(1, 100, 400, 0)(10) == pytest.approx(200)
    assert Linear(50, 0, 100)(25) == 50


def test_ticks_are_round_figures_within_the_axis() -> None:
    """Each 1, 2 and 5, with both ends."""
    assert Log(2, 50, 0, 1).ticks() == pytest.approx([2, 5, 10, 20, 50])


def test_an_axis_around_figures_ends_at_round_ones() -> None:
    """And holds all of them."""
    axis = around([3.0, 17.0, 0.0], 0, 1)
    assert (axis.low, axis.high) == pytest.approx((2, 20))


@pytest.mark.parametrize(("value", "text"), [(20, "20 us"), (5000, "5 ms"), (2e6, "2 s")])
def test_times_are_written_as_one_says_them(value: float, text: str) -> None:
    """With the unit that leaves the shortest figure."""
    assert microseconds(value) == text


def test_labels_that_do_not_touch_stay_where_they_are() -> None:
    """Nothing moves without need."""
    assert [label.place for label in spread(labels(10, 50, 90), 16, 0, 100)] == [10, 50, 90]


def test_labels_that_touch_are_moved_apart_evenly() -> None:
    """Around the middle of what they want, in their order."""
    moved = spread(labels(52, 50, 48), 16, 0, 100)
    assert [(label.wanted, label.place) for label in moved] == [(48, 34), (50, 50), (52, 66)]


def test_labels_never_leave_the_plot_nor_cover_each_other() -> None:
    """Also where many want the same place at the very edge, and push others away."""
    moved = spread(labels(*[100.0] * 4, 80.0, 0.0, 1.0), 12, 0, 100)
    places = [label.place for label in moved]
    assert min(places) >= 0
    assert max(places) <= 100
    assert all(below - above >= 12 - 1e-9 for above, below in itertools.pairwise(places))


def labels(*wanted: float) -> list[Label]:
    return [Label("name", "", place) for place in wanted]


def test_flags_are_raised_until_none_covers_another_or_its_staff() -> None:
    """Three close together need three rows; one far away needs none of its own."""
    rows = {flag.x: flag.row for flag in raise_flags([Flag("a name", "", x) for x in (100, 104, 108, 300)])}
    assert rows == {100: 2, 104: 1, 108: 0, 300: 0}


def test_a_server_that_does_not_keep_up_leaves_the_page(results: Results) -> None:
    """Its name stands above the plot, those of the others beside it."""
    page = rates(results, "")
    assert page is not None
    tree = ElementTree.fromstring(str(page))
    places = {
        text.text: (float(text.get("x", 0)), float(text.get("y", 0))) for text in tree.iter(SVG + "text")
    }
    top = places["50 ms"][1]
    assert HOPELESS == 50_000
    assert places["trio.serve_tcp"][1] < top < places["trioserver, plain def"][1]
    assert places["trio.serve_tcp"][0] < places["trioserver, plain def"][0]


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_is_well_formed_and_names_the_machine(name: str, results: Results) -> None:
    """No text has a place outside of the picture."""
    page = plots.draw(results)[name]
    tree = ElementTree.fromstring(str(page))
    texts = list(tree.iter(SVG + "text"))
    assert "cpu Abacus, python CPython 3.11" in [text.text for text in texts]
    for text in texts:
        assert 0 <= float(text.get("x", -1)) <= page.width
        assert 0 <= float(text.get("y", -1)) <= page.height


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_can_be_read_in_the_dark(name: str, results: Results) -> None:
    """Its colours are classes, for which there is a second set."""
    assert "prefers-color-scheme:dark" in str(plots.draw(results)[name])


def test_texts_are_escaped() -> None:
    """A name is no markup."""
    page = Page(100, 100, "a < b", "c & d", "")
    assert [text.text for text in ElementTree.fromstring(str(page)).iter(SVG + "text")][:2] == [
        "a < b",
        "c & d",
    ]


def test_plots_without_figures_are_not_drawn(results: Results) -> None:
    """Nor is it an error: a machine may lack what they need."""
    results.rounds = {"echo500": results.rounds["echo500"]}
    assert set(plots.draw(results)) == {"ratio", "ratio-plain", "latency"}


def test_files_are_written_under_names_of_their_own(results: Results, tmp_path: Path) -> None:
    """Beside what else is in the folder."""
    plots.write_files(results, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"performance-{name}.svg" for name in PLOTS}
