"""Axes: where a figure is, and which ones are written beside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Log:
    """An axis from *low* to *high*, drawn from *start* to *end* pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where *value* is; what is beyond an end is put there."""
        inside = max(self.low, min(value, self.high))
        share = math.log(inside / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, steps: tuple[int, ...] = (1, 2, 5)) -> list[float]:
        """The round figures on it: each of *steps* times the powers of ten."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        every = (step * 10.0**power for power in range(first, last + 1) for step in steps)
        return [tick for tick in every if self.low * 0.999 <= tick <= self.high * 1.001]


@dataclass(frozen=True)
class Linear:
    """An axis from 0 to *high*, drawn from *start* to *end* pixels."""

    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where *value* is."""
        return self.start + (self.end - self.start) * value / self.high


def around(values: Iterable[float], start: float, end: float) -> Log:
    """An axis from the round figure below all *values* to the one above."""
    figures = [value for value in values if value > 0]
    return Log(_round(min(figures), up=False), _round(max(figures), up=True), start, end)


def _round(value: float, *, up: bool) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    steps = [step * power for step in (1, 2, 5, 10)]
    if up:
        return next(step for step in steps if step >= value * 0.999)
    return next(step for step in reversed(steps) if step <= value * 1.001)


def microseconds(value: float) -> str:
    """A time as one would say it."""
    if value >= 1e6:
        return f"{value / 1e6:g} s"
    return f"{value / 1e3:g} ms" if value >= 1e3 else f"{value:g} us"
