"""What the way from one host to another does to packets: latency, bandwidth, loss and so on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ._checks import check_probability, check_rate, check_seconds
from ._latency import Latency, check_latency, describe_latency

if TYPE_CHECKING:
    import random
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """What a link does to packets; see `Network` for what each option means."""

    latency: Latency = 0.001
    bandwidth: float | None = None
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0

    def __post_init__(self) -> None:
        check_latency("latency", self.latency)
        check_rate("bandwidth", self.bandwidth)
        check_probability("loss", self.loss)
        check_probability("duplication", self.duplication)
        check_probability("reordering", self.reordering)

    def changed(self, **options: Any) -> LinkOptions:
        """A copy in which those of ``options`` are other that are not ``...``."""
        return dataclasses.replace(self, **{k: v for k, v in options.items() if v is not ...})

    def __str__(self) -> str:
        parts = [f"latency {describe_latency(self.latency)}"]
        if self.bandwidth is not None:
            parts.append(f"bandwidth {self.bandwidth:g} bytes/s")
        for name in ("loss", "duplication", "reordering"):
            if value := getattr(self, name):
                parts.append(f"{name} {value:g}")
        return ", ".join(parts)


_OVERTAKEN_BY: Final = 0.001
"""The seconds that a packet which is to be overtaken stays behind where there is no latency."""


class Link:
    """The way from one host to another, in one direction.

    Attributes:
      options: What it does to packets. Set with `set`.
      plain: Whether all it does is to let packets arrive after ``delay``: most links, most of the time.
      delay: The latency in seconds where it is fixed, else 0.
      last: When the packet arrives, or arrived, that is the last so far.
      partitioned: Whether it is cut.
      held: The packets that wait for the release, with what to call; None when it is not held.
    """

    __slots__ = ("_free_at", "delay", "held", "last", "options", "partitioned", "plain")

    def __init__(self, options: LinkOptions) -> None:
        self.partitioned: bool = False
        self.held: list[Any] | None = None
        self.last: float = 0.0
        self._free_at = 0.0  # when the packets that were sent so far have left
        self.set(options)

    def set(self, options: LinkOptions) -> None:
        """Treat packets this way from now on."""
        self.options: LinkOptions = options
        self.delay: float = 0.0 if callable(options.latency) else options.latency
        self.update()

    def update(self) -> None:
        """Find ``plain`` again, after a change."""
        options = self.options
        self.plain: bool = not (
            self.partitioned
            or self.held is not None
            or callable(options.latency)
            or options.bandwidth is not None
            or options.loss
            or options.duplication
            or options.reordering
        )

    def arrivals(
        self, now: float, size: int, random: random.Random, failed: Callable[[BaseException], object]
    ) -> list[float]:
        """When a packet of ``size`` bytes that is sent now arrives: never, once or twice.

        Random numbers are drawn in this order, each only where its option is set: loss, reordering, latency
        of the packet, duplication, latency of the copy. ``failed`` is told what a latency function does
        wrong.
        """
        options = self.options
        leaves = now
        if options.bandwidth is not None:
            leaves = self._free_at = max(now, self._free_at) + size / options.bandwidth
        if options.loss and random.random() < options.loss:
            return []
        struck = bool(options.reordering) and random.random() < options.reordering
        arrival = leaves + self._latency(random, failed)
        if struck:
            # Not noted in `last`, so that what is sent next need not wait for it.
            found = [arrival + max(arrival - now, _OVERTAKEN_BY) * random.uniform(1.0, 3.0)]
        else:
            self.last = max(self.last, arrival)
            found = [self.last]
        if options.duplication and random.random() < options.duplication:
            self.last = max(self.last, leaves + self._latency(random, failed))
            found.append(self.last)
        return found

    def _latency(self, random: random.Random, failed: Callable[[BaseException], object]) -> float:
        latency = self.options.latency
        if not callable(latency):
            return latency
        try:
            seconds = latency(random)
            check_seconds(f"what the latency {describe_latency(latency)} draws", seconds)
        except Exception as error:
            failed(error)
            return 0.0
        return seconds
