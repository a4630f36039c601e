"""A line on standard error that says where we are, and about how long it will take."""

from __future__ import annotations

import sys
import time

BAR = 20
"""Characters that the bar is wide."""


class Progress:
    """Counts seconds as planned, and learns from them how fast this machine is.

    On a terminal one line is rewritten; elsewhere (a log file) each workload gets one line.

    Args:
      planned: Seconds that everything takes on a machine that we know.
    """

    def __init__(self, planned: float) -> None:
        self._planned = planned
        self._done = 0.0
        self._began = time.monotonic()
        self._live = sys.stderr.isatty()

    def begin(self, what: str) -> None:
        """A workload begins."""
        if not self._live:
            print(f"{self._share} {what}, {self._left}", file=sys.stderr, flush=True)

    def step(self, what: str, planned: float) -> None:
        """A measurement begins that should take *planned* seconds."""
        if self._live:
            line = f"\r\x1b[K{self._bar} {self._share} {what:<40} {self._left}"
            print(line, end="", file=sys.stderr, flush=True)
        self._done += planned

    def reach(self, planned: float) -> None:
        """What was planned for the first *planned* seconds is done, or will not be."""
        self._done = planned

    def clear(self) -> None:
        """Take the line away, before something else is printed."""
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    @property
    def _bar(self) -> str:
        filled = min(BAR, round(BAR * self._done / self._planned))
        return "[" + "#" * filled + "." * (BAR - filled) + "]"

    @property
    def _share(self) -> str:
        return f"{self._done / self._planned:4.0%}"

    @property
    def _left(self) -> str:
        # Until a tenth is done the plan is a better guess than so few measurements.
        known = self._done > self._planned / 10
        pace = (time.monotonic() - self._began) / self._done if known else 1.0
        return f"about {(self._planned - self._done) * pace:.0f} s left"
