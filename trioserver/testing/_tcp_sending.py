"""The sending half of a connection: a buffer, segments cut from it, the peer's window."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from ._addresses import error
from ._tcp_resending import Resending
from ._tcp_segments import MAX_SEGMENT_BYTES, Segment, note_lost

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_SPLIT: Final = 1 / 16
"""How often a segment is cut short at a random place. TCP may cut anywhere; programs must not care."""
_MERGE: Final = 1 / 4
"""How often a short write waits for those that follow at the same instant, to share a segment with them."""


class Sending(Resending):
    """What the application sends."""

    __slots__ = ()

    def send(self, data: ReadableBuffer) -> int:
        """Take what there is room for.

        Raises:
          OSError: The connection is broken, or the sending half closed (``EPIPE``).
          BlockingIOError: There is no room.
        """
        if self.error or self.fin_queued or self.dead:
            number, self.error = self.error, 0
            raise error(number or errno.EPIPE)
        if self.connecting:
            raise BlockingIOError(errno.EAGAIN, "the connection is not established yet")
        outgoing = self.outgoing
        room = self.options.send_bytes - len(outgoing) - self.next + self.unacknowledged
        low_water = self.options.low_water
        if room <= 0 or (low_water and len(outgoing) >= low_water):
            raise BlockingIOError(errno.EAGAIN, "the send buffer is full")
        view = data if isinstance(data, bytes) else memoryview(data).cast("B")
        size = len(view)
        if size > room:
            size = room
            view = view[:size]
        outgoing += view
        if self.deferred and len(outgoing) < MAX_SEGMENT_BYTES:
            return size
        if len(outgoing) < MAX_SEGMENT_BYTES and self.network.random.random() < _MERGE:
            self.deferred = True
            self.wire.call_soon(Sending._send_deferred, self)
        else:
            self._push()
        return size

    def _send_deferred(self) -> None:
        self.deferred = False
        if not self.dead:
            self._push()

    def has_room(self) -> bool:
        """Whether it is worth to wake who wants to send: Linux waits until a third of the buffer is free."""
        queued = len(self.outgoing)
        low_water = self.options.low_water
        if low_water and queued >= low_water:
            return False
        return (queued + self.next - self.unacknowledged) * 3 <= self.options.send_bytes * 2

    def _push(self) -> None:
        """Send as much as the peer has room for, and after the last of it the FIN."""
        outgoing = self.outgoing
        random = self.network.random.random
        now = self.wire.now
        while outgoing:
            room = self.limit - self.next
            size = len(outgoing)
            if size > MAX_SEGMENT_BYTES:
                size = MAX_SEGMENT_BYTES
            if size > room:
                if room <= 0 or self.in_flight:  # RFC 9293 section 3.8.6.2.1: no silly windows
                    break
                size = room
            chance = random()
            if chance < _SPLIT and size > 1:
                size = 1 + int(chance / _SPLIT * (size - 1))
            data = bytes(outgoing[:size])
            del outgoing[:size]
            segment = Segment("DATA", self, self.local, self.remote, self.peer_host, self.next, data)
            self.next = segment.end
            self._transmit(segment, now)
        if outgoing:
            if not self.in_flight:
                self._set_timer()  # INV-1
        elif self.fin_queued and not self.fin_sent and self.established:
            self.fin_sent = True
            fin = Segment("FIN", self, self.local, self.remote, self.peer_host, self.next)
            fin.end += 1
            self.next = fin.end
            self._transmit(fin, now)

    def _sent_is_acknowledged(self, segment: Segment) -> None:
        """Take the news of a segment about what this end has sent."""
        before = self.limit
        if segment.limit > before:
            self.limit = segment.limit
        if segment.acknowledged > self.unacknowledged:
            self._acknowledge_sent(segment.acknowledged)
        elif self.limit == before and not segment.gap_end:
            return
        if segment.gap_end and self.in_flight:
            # The peer has what was sent later (RFC 2018), so what is lost before it is missed by now.
            self._resend(segment.gap_end)
        if self.tries and not self.in_flight:
            # The window has opened: what is sent now has a timeout of its own, not that of the probes before.
            self.tries = 0
            self._stop_timer()
        if self.outgoing or self.fin_queued:
            self._push()
        if self.has_room():
            self.watcher.wake_writer()

    def _send_reset(self, to: Segment | None = None) -> None:
        """Send a RST: to the peer, or in answer to a segment."""
        if to is not None:
            reset = Segment("RST", self, to.destination, to.source, to.sender, self.next)
            self.wire.send(reset, to.origin.arrived)
        elif self.peer is not None:
            reset = Segment("RST", self, self.local, self.remote, self.peer_host, self.next)
            self.wire.send(reset, self.peer.arrived, note_lost)
