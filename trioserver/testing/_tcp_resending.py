"""Sending again what was lost: one timer a connection, as RFC 6298 and Linux have it.

INV-1: While anything is in flight, or waits for a window that is closed, the timer is set. It is not moved
with each acknowledgement: when it fires too early it sets itself again, so that a packet costs no timer.
"""

from __future__ import annotations

import errno
from collections import deque
from typing import Final

from ._tcp_segments import PROBE, Segment, note_lost
from ._tcp_state import ConnectionState

LEAST_TIMEOUT: Final = 0.2
"""Seconds: Linux's ``TCP_RTO_MIN``."""
LONGEST_TIMEOUT: Final = 120.0
"""Seconds: Linux's ``TCP_RTO_MAX``."""
MAX_TRIES: Final = 15
"""Linux's ``tcp_retries2``: with the timeouts above it gives up after 924.6 s, see tcp(7)."""
MAX_ORPHAN_TRIES: Final = 8
"""Linux's ``tcp_orphan_retries``, for connections that the application has closed."""


class Resending(ConnectionState):
    """Segments in flight, and the timer."""

    __slots__ = ()

    def _transmit(self, segment: Segment, now: float) -> None:
        """Send a segment that has to be acknowledged."""
        self.in_flight.append(segment)
        if not self.timed_end:
            self.timed_end = segment.end
            self.timed_at = now
        if self.timer is None:
            self._set_timer()
        assert self.peer is not None
        self.wire.send(segment, self.peer.arrived, note_lost, now)

    def _set_timer(self) -> None:
        if self.timer is None:
            delay = min(LONGEST_TIMEOUT, self.timeout * 2.0 ** min(self.tries, 10))
            self.resend_at = self.wire.now + delay
            self.timer = self.wire.call_later(delay, self._timer_fires)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _measured(self, seconds: float) -> None:
        """Learn a round-trip time: RFC 6298 section 2, with Linux's least variation."""
        if not self.timeout:
            self.round_trip, self.variation = seconds, seconds / 2
        else:
            self.variation = 0.75 * self.variation + 0.25 * abs(self.round_trip - seconds)
            self.round_trip = 0.875 * self.round_trip + 0.125 * seconds
        self.timeout = self.round_trip + max(LEAST_TIMEOUT, 4 * self.variation)

    def _acknowledge_sent(self, acknowledged: int) -> None:
        """The peer has received everything up to there."""
        in_flight = self.in_flight
        while in_flight and in_flight[0].end <= acknowledged:
            in_flight.popleft()
        self.unacknowledged = acknowledged
        now = self.wire.now
        if self.timed_end and acknowledged >= self.timed_end:
            self._measured(now - self.timed_at)
            self.timed_end = 0
        self.unanswered = 0
        self.resend_at = now + self.timeout
        if self.tries:
            self.tries = 0
            self._stop_timer()  # or it would fire as late as before, when all was lost
            self._set_timer()

    def _timer_fires(self) -> None:
        self.timer = None
        if self.dead:
            return
        if self.orphaned and self.host.tcp.get("stack") is not self.stack:
            self.vanish()  # the host crashed meanwhile, and knows nothing of a connection that was closed
            return
        if not self.in_flight and not self.outgoing:
            return
        delay = self.resend_at - self.wire.now
        if delay > 1e-9 and not self.tries:
            self.timer = self.wire.call_later(delay, self._timer_fires)
            return
        if self.unanswered >= (MAX_ORPHAN_TRIES if self.orphaned else MAX_TRIES):
            self.fail(errno.ETIMEDOUT, "timed out: the peer acknowledges nothing")
            return
        self.unanswered += 1
        self.tries += 1
        if not self.in_flight:
            self._probe()
        elif not self._resend(self.next):
            # None that is known to be lost: an acknowledgement was, or the way is long. The first tells.
            self._resend(self.in_flight[0].end, lost=False)
        self._set_timer()  # INV-1

    def _resend(self, end: int, *, lost: bool = True) -> bool:
        """Send again what is in flight up to ``end``, or of it only what is lost; whether there was any."""
        again: list[Segment] = []
        keep: deque[Segment] = deque()
        for segment in self.in_flight:
            if segment.end <= end and (segment.lost or not lost):
                segment = self._copy(segment)
                again.append(segment)
            keep.append(segment)
        if not again:
            return False
        self.in_flight = keep
        self.timed_end = (
            0  # RFC 6298 section 3, Karn's algorithm: it is unknown which of them is acknowledged
        )
        assert self.peer is not None
        for segment in again:
            self.wire.send(segment, self.peer.arrived, note_lost)
        return True

    def _copy(self, segment: Segment) -> Segment:
        """The same with what this end has received meanwhile."""
        copy = Segment(
            segment.kind,
            segment.origin,
            self.local,
            self.remote,
            self.peer_host,
            segment.sequence,
            segment.data,
        )
        copy.end = segment.end
        return copy

    def _probe(self) -> None:
        """Ask a peer whose window is closed whether it still is: what opens it may have been lost."""
        self._send_window(PROBE)

    def _send_window(self, sequence: int | None = None) -> None:
        """Tell the peer what was received, and how much there is room for."""
        raise NotImplementedError

    def fail(self, number: int, what: str) -> None:
        """The connection is over; the next call of the application raises the error."""
        raise NotImplementedError

    def vanish(self) -> None:
        """The connection is over, and nobody is told."""
        raise NotImplementedError
