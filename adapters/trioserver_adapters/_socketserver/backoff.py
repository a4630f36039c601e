"""Pauses after errors of ``get_request``: nothing ever spins (P7)."""

from __future__ import annotations

import errno
import logging
from typing import Final

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

    Attributes:
      pause: In seconds.
    """

    def __init__(self) -> None:
        self.pause = 0.0
        self._failures = 0

    def failed(self, error: OSError) -> None:
        """Note an error."""
        self._failures += 1
        if error.errno in EXHAUSTED:
            if not self.pause:
                logger.warning("No requests are taken for a while: %s", error)
            self.pause = min(_LONGEST_PAUSE, 2 * self.pause) or _FIRST_PAUSE
        elif self._failures > _TOLERATED:
            self.pause = _FIRST_PAUSE

    def succeeded(self) -> None:
        """Note that a request was taken."""
        if self._failures:
            self._failures = 0
            self.pause = 0.0
