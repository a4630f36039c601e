"""Pauses after errors of ``get_request``: nothing ever spins (P7)."""

from __future__ import annotations

import errno
import logging
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("trioserver")

EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""What accept(2) says when the process or the system has run out of something. The connection stays in the
backlog, so that the listener is readable again at once."""

_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 1.0
_TOLERATED: Final = 16


class Backoff:
    """How long to pause before the next request is taken.

    Exhaustion: from 10 ms, doubling to 1 s. Any other error is one client's, a failed TLS handshake, say, and
    no reason to pause; but more than 16 in a row are: the listener may be broken. Then it is 10 ms each.

    A pause is over at a point in time, whatever waits meanwhile: a wait may be shorter, and come to nothing
    again and again.
    """

    def __init__(self) -> None:
        self._pause = 0.0
        self._until = 0.0
        self._failures = 0

    @property
    def pause(self) -> float:
        """What is left of it, in seconds."""
        return max(0.0, self._until - self._time()) if self._pause else 0.0

    def _time(self, _now: Callable[[], float] = time.monotonic) -> float:
        return _now()  # taken where nobody finds it who freezes clocks

    def failed(self, error: OSError) -> None:
        """Note an error."""
        self._failures += 1
        if error.errno in EXHAUSTED:
            if not self._pause:
                logger.warning("No requests are taken for a while: %s", error)
            self._pause = min(_LONGEST_PAUSE, 2 * self._pause) or _FIRST_PAUSE
        elif self._failures > _TOLERATED:
            self._pause = _FIRST_PAUSE
        self._until = self._time() + self._pause

    def succeeded(self) -> None:
        """Note that a request was taken."""
        if self._failures:
            self._failures = 0
            self._pause = 0.0
