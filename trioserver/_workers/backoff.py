"""How long to wait before a worker that has ended by itself is replaced."""

from __future__ import annotations

from typing import Final

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 10.0
LONG: Final = 1.0
"""From so long a delay on clients are not to wait for the next worker: TCP itself takes the first packet of a
connection for lost after 1 s (RFC 6298)."""
LASTED: Final = 10.0
"""Who has served for so long has not failed at once: the next one is not to blame for it."""


class RestartBackoff:
    """The delays of one place: none at first, then 0.1 s, doubling to 10 s; none again after one has lasted.

    At once, because clients wait in the kernel for whoever comes next. Growing, because a worker that can not
    start takes a third of a second of a processor each time it tries, which the others need.
    """

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures = 0

    def next_delay(self, served_for: float) -> float:
        """Seconds to wait, now that a worker has ended that served for so long: 0 if it never did."""
        if served_for >= LASTED:
            self._failures = 0
        self._failures += 1
        if self._failures == 1:
            return 0.0
        doublings = min(self._failures - 2, 10)  # 2 ** 10_000 is no float
        return min(FIRST_DELAY * 2.0**doublings, LONGEST_DELAY)
