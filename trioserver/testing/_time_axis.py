"""Where on a page each moment is: in the order of time, with room for text, without long empty stretches."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROW = 22.0
"""The least distance of two lines of text, in pixels."""
TEXT = 16.0
"""The least distance of such a line from an arrowhead above it."""
ARRIVAL = 7.0
"""The least distance of an arrowhead from what comes before it."""
UNIT = 24.0
"""The distance that the usual time between two moments gets."""
LONG = 20.0
"""A time so many times longer than the usual one is a break in the axis."""
BREAK = 60.0
"""The height of a break."""
DIGITS = 9
"""Decimals of a second that count: what differs by less differs by the rounding of sums."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that needs a place of its own."""

    time: float
    order: float
    """Among those at the same time."""
    height: float
    """What must be free above it."""


class TimeAxis:
    """The places of moments, from ``top`` down.

    Attributes:
      places: Where each moment is, in pixels.
      breaks: Where time was left out: from, to (pixels), and how many seconds that is.
      bottom: Where the last one is.
    """

    def __init__(self, moments: Iterable[Moment], top: float) -> None:
        self.places: dict[Moment, float] = {}
        self.breaks: list[tuple[float, float, float]] = []
        self._times: list[float] = []
        self._pixels: list[float] = []
        ordered = sorted(
            dict.fromkeys(moments), key=lambda moment: (round(moment.time, DIGITS), moment.order)
        )
        unit = typical_step([moment.time for moment in ordered])
        y, row, now = top, top - ROW, round(ordered[0].time, DIGITS) if ordered else 0.0
        for moment in ordered:
            time = round(moment.time, DIGITS)
            previous = y if self._pixels else -inf
            if time > now:
                distance = _distance(time - now, unit)
                if distance == BREAK:
                    self.breaks.append((y, y + BREAK, time - now))
                y += distance
                now = time
            if moment.height >= ROW:
                y = max(y, row + moment.height, previous + TEXT)
                row = y
            elif self._pixels and self._times[-1] == time:
                y += moment.height
            self.places[moment] = y
            self._times.append(time)
            self._pixels.append(y)
        self.bottom = y

    def first(self, time: float) -> float:
        """The uppermost place of a time; between those of its neighbours where it has none of its own."""
        time = round(time, DIGITS)
        index = bisect_left(self._times, time)
        if index < len(self._times) and self._times[index] == time:
            return self._pixels[index]
        return self._between(index, time)

    def last(self, time: float) -> float:
        """The lowest place of a time."""
        time = round(time, DIGITS)
        index = bisect_right(self._times, time)
        if index and self._times[index - 1] == time:
            return self._pixels[index - 1]
        return self._between(index, time)

    def ticks(self) -> list[tuple[float, float]]:
        """Times with a place, and the place: not so near to each other that their texts would touch."""
        found: list[tuple[float, float]] = []
        for time, pixel in zip(self._times, self._pixels, strict=True):
            if not found or (time > found[-1][0] and pixel - found[-1][1] >= ROW * 0.7):
                found.append((time, pixel))
        return found

    def _between(self, index: int, time: float) -> float:
        if not self._times:
            return 0.0
        if index == 0:
            return self._pixels[0]
        if index == len(self._times):
            return self._pixels[-1]
        before, after = self._times[index - 1], self._times[index]
        part = (time - before) / (after - before)
        return self._pixels[index - 1] + part * (self._pixels[index] - self._pixels[index - 1])


def typical_step(times: Iterable[float]) -> float:
    """The usual time from one moment to the next; 1 s where there is one moment alone."""
    ordered = sorted({round(time, DIGITS) for time in times})
    return median(later - earlier for earlier, later in pairwise(ordered)) if len(ordered) > 1 else 1.0


def _distance(seconds: float, unit: float) -> float:
    """Pixels for a time in which nothing happens."""
    times = seconds / unit
    if times > LONG:
        return BREAK
    return max(ARRIVAL, UNIT * times) if times < 1 else min(UNIT + 4 * (times - 1), BREAK - 1)
