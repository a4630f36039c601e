"""Latencies: fixed, or drawn for each packet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from trioserver import ConfigError

from ._checks import check_seconds

Latency: TypeAlias = float | Callable[[Random], float]
"""Seconds that a packet is under way: a number, or a function that draws one for each packet.

`uniform`, `exponential` and `normal` make such functions. One of your own is called with ``Network.random``,
and must take what is random from there alone.
"""


@dataclass(frozen=True, slots=True)
class _Distribution:
    """Draws latencies; ``text`` stands for it in event logs."""

    text: str
    draw: Callable[[Random], float]

    def __call__(self, random: Random) -> float:
        return self.draw(random)

    def __repr__(self) -> str:
        return self.text


def uniform(least: float, most: float) -> Callable[[Random], float]:
    """A latency from ``least`` to ``most`` seconds, each value as likely as any other."""
    check_seconds("least", least)
    check_seconds("most", most)
    if most < least:
        raise ConfigError(f"most must not be less than least, {least!r}, and is {most!r}")
    return _Distribution(f"uniform({least:g}, {most:g})", lambda random: random.uniform(least, most))


def exponential(mean: float) -> Callable[[Random], float]:
    """A latency of ``mean`` seconds on average: mostly less, now and then many times as much."""
    check_seconds("mean", mean)
    return _Distribution(f"exponential({mean:g})", lambda random: mean * random.expovariate(1.0))


def normal(mean: float, deviation: float) -> Callable[[Random], float]:
    """A latency of ``mean`` seconds with that standard deviation; 0 where it would be less."""
    check_seconds("mean", mean)
    check_seconds("deviation", deviation)
    return _Distribution(
        f"normal({mean:g}, {deviation:g})",
        lambda random: max(0.0, random.normalvariate(mean, deviation)),
    )


def check_latency(name: str, value: object) -> None:
    """Raise ConfigError unless ``value`` is a `Latency`."""
    if not callable(value):
        check_seconds(name, value)


def describe_latency(latency: Latency) -> str:
    """The latency for an event log: the same text in every process."""
    if isinstance(latency, (int, float)):
        return f"{latency:g} s"
    if isinstance(latency, _Distribution):
        return latency.text
    return str(getattr(latency, "__name__", type(latency).__name__))
