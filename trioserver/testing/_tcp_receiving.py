"""The receiving half of a connection: the order of segments, a buffer, and the window that the peer is told.

INV-2: The place up to which there is room never goes back, as RFC 9293 section 3.8.6 asks: who has been told
that there is room may use it.
"""

from __future__ import annotations

import errno
from typing import Final

from ._addresses import error
from ._tcp_segments import MAX_SEGMENT_BYTES, PROBE, Segment
from ._tcp_sending import Sending

TIME_WAIT: Final = 60.0
"""Seconds: Linux's ``TCP_TIMEWAIT_LEN``. So long a port can not be bound again without ``SO_REUSEADDR``."""
_READ_INTERVAL: Final = 0.05
"""Seconds: a slow reader takes what it may have in so long at a time."""


class Receiving(Sending):
    """What the application receives."""

    __slots__ = ()

    def receive(self, max_bytes: int, *, peek: bool = False) -> bytes:
        """Take what is there; ``b""`` at the end of the stream.

        Raises:
          OSError: The connection is broken; what had come before is received first.
          BlockingIOError: There is nothing yet.
        """
        incoming = self.incoming
        if not incoming:
            return self._receive_end(max_bytes)
        if self.host.read_rate is not None and not peek:
            max_bytes = self._allowance(max_bytes)
        if peek:
            return bytes(incoming[:max_bytes])
        if max_bytes >= len(incoming):
            data = bytes(incoming)
            incoming.clear()
        else:
            data = bytes(incoming[:max_bytes])
            del incoming[:max_bytes]
        if not self.fin_received and not self.dead:
            room = self.advertised - self.expected
            grown = self.options.receive_bytes - len(incoming) - room
            # RFC 9293 section 3.8.6.2.2: not for every few bytes. Linux waits until the window has doubled.
            if grown >= room and grown >= min(MAX_SEGMENT_BYTES, self.options.receive_bytes // 2):
                self._send_window()
        return data

    def _receive_end(self, max_bytes: int) -> bytes:
        if self.fin_received or max_bytes == 0:
            return b""
        if self.error:
            number, self.error = self.error, 0
            raise error(number)
        if self.read_shut or self.dead:
            return b""
        raise BlockingIOError(errno.EAGAIN, "nothing was received yet")

    def _allowance(self, max_bytes: int) -> int:
        """How much a slow reader takes now: `Host.read_rate`."""
        rate = self.host.read_rate
        assert rate is not None
        now = self.wire.now
        if now < self.read_at:
            raise BlockingIOError(errno.EAGAIN, "this host reads slowly")
        taken = min(max_bytes, len(self.incoming), max(1, int(rate * _READ_INTERVAL)))
        self.read_at = now + taken / rate
        self.wire.call_later(taken / rate, self._may_read)
        return taken

    def _may_read(self) -> None:
        if self.is_readable():
            self.watcher.wake_reader()

    def is_readable(self) -> bool:
        """Whether `receive` would not raise ``BlockingIOError``."""
        if self.incoming:
            return self.host.read_rate is None or self.wire.now >= self.read_at
        return self.fin_received or self.dead or self.read_shut or self.error != 0

    def _receive_segment(self, segment: Segment) -> None:
        """Take a segment with data, or a FIN."""
        if segment.sequence != self.expected:
            if segment.sequence > self.expected:
                self.out_of_order.setdefault(segment.sequence, segment)
            self._acknowledge()
            return
        was_empty = not self.incoming
        self._take(segment)
        while self.out_of_order and (later := self.out_of_order.pop(self.expected, None)) is not None:
            self._take(later)
        self._acknowledge()
        if was_empty:  # otherwise nobody waits, or only until a slow reader may go on
            self.watcher.wake_reader()

    def _take(self, segment: Segment) -> None:
        self.expected = segment.end
        if segment.kind == "FIN":
            self.fin_received = True
            if self.fin_sent:  # this end closed first
                self.waits_until = self.wire.now + TIME_WAIT
        else:
            self.incoming += segment.data

    def _acknowledge(self) -> None:
        """Acknowledge, once for all that arrives at this instant."""
        if not self.acknowledging:
            self.acknowledging = True
            self.wire.call_soon(Receiving._send_acknowledgement, self)

    def _send_acknowledgement(self) -> None:
        if self.acknowledging:
            self._send_window()

    def _send_window(self, sequence: int | None = None) -> None:
        """Tell the peer what was received, and how much there is room for: also a probe, see `PROBE`."""
        self.acknowledging = False
        peer = self.peer
        if peer is None:
            return
        limit = self.expected + self.options.receive_bytes - len(self.incoming)
        if limit > self.advertised:  # INV-2
            self.advertised = limit
        place = self.next if sequence is None else sequence
        ack = Segment("ACK", self, self.local, self.remote, self.peer_host, place)
        if self.out_of_order:
            ack.gap_end = max(later.end for later in self.out_of_order.values())
        self.wire.send(ack, peer.arrived)

    def _is_probe(self, segment: Segment) -> bool:
        return segment.sequence == PROBE
