"""A progress bar, for people who look at a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from types import TracebackType

INTERVAL = 0.1
"""Seconds between two drawings: more often nobody sees, and it would take time from the runs."""


class Progress:
    """Says how many of ``total`` seeds have been run; a context manager, which leaves an empty line behind.

    Nothing is written unless the stream is a terminal: a file or a CI log is better off without.
    """

    def __init__(self, total: int | None, stream: TextIO | None = None) -> None:
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._wanted = self._stream is not None and self._stream.isatty()
        self._start = time.monotonic()
        self._drawn = float("-inf")
        self._width = 0
        self.done = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()

    def step(self) -> None:
        """One more seed is done."""
        self.done += 1
        now = time.monotonic()
        if self._wanted and now - self._drawn >= INTERVAL:
            self._drawn = now
            text = self.line(now - self._start, shutil.get_terminal_size().columns)
            self._stream.write("\r" + text.ljust(self._width))
            self._stream.flush()
            self._width = len(text)

    def line(self, elapsed: float, columns: int) -> str:
        """What to draw after so many seconds on a terminal with so many columns."""
        rate = self.done / elapsed if elapsed > 0 else 0.0
        speed = f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s"
        if not self._total:
            return f"{self.done} seeds, {speed}"[: columns - 1]
        left = (self._total - self.done) / rate if rate else 0.0
        text = f"{self.done}/{self._total} seeds, {speed}, {_duration(left)} left"
        room = min(40, columns - len(text) - 4)
        if room < 10:
            return text[: columns - 1]
        full = room * self.done // self._total
        return f"[{'#' * full}{'.' * (room - full)}] {text}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 6000 else f"{whole // 3600} h"
