"""One end of a TCP connection: what happens to it as a whole (RFC 9293 section 3.6 to 3.10).

Not simulated: congestion control, Nagle's algorithm, delayed acknowledgements, keep-alive, urgent data, and
simultaneous open. An acknowledgement is an ``"ACK"`` segment; one is sent for all that arrives at one
instant.
"""

from __future__ import annotations

import errno
from typing import Final

from ._tcp_handle import ended
from ._tcp_handshake import Handshake
from ._tcp_segments import Segment
from ._watchers import NOBODY

FIN_TIMEOUT: Final = 60.0
"""Seconds: Linux's ``tcp_fin_timeout``, how long a connection that was closed waits for the peer's FIN."""


class Connection(Handshake):
    """One end of a connection, from its first segment on."""

    __slots__ = ()

    # What the wire brings.

    def arrived(self, segment: Segment) -> None:
        """Take a segment from the wire."""
        ordinary = self.established and not self.dead and not self.orphaned
        if not ordinary and not self._is_for_established(segment):
            return
        if self.unanswered and not self.in_flight:
            self.unanswered = 0
        if segment.acknowledged > self.unacknowledged or segment.limit > self.limit or segment.gap_end:
            self._sent_is_acknowledged(segment)
            if self.fin_received:
                self._end_if_all_is_done()
        kind = segment.kind
        if kind == "DATA":
            # What came before, and comes again since our acknowledgement was lost or late, is lost to nobody.
            if self.read_shut and self.fin_queued and segment.end > self.expected:
                # RFC 1122 section 4.2.2.13: nobody will read it, so that the peer is told that it is lost.
                self._send_reset()
                self.fail(errno.ECONNRESET, "reset: data came after it was closed")
                return
            self._receive_segment(segment)
            if self.fin_received:  # it came before, after a gap
                self._end_if_all_is_done()
        elif kind == "ACK":
            if self._is_probe(segment):
                self._acknowledge()
        elif kind == "FIN":
            self._receive_segment(segment)
            if self.fin_received:
                self._end_if_all_is_done()
        elif kind == "RST":
            self._reset_arrived()
        elif kind == "SYN-ACK":
            self._acknowledge()  # ours for it was lost

    def _is_for_established(self, segment: Segment) -> bool:
        """What to do where it is not simply open; whether to go on as if it was."""
        if self.orphaned and self.host.tcp.get("stack") is not self.stack:
            self.vanish()  # a crash has ended it, too
        if self.dead:
            if segment.kind == "RST":
                return False
            if self.wire.now < self.waits_until:
                if segment.kind == "FIN":  # TIME-WAIT: our acknowledgement was lost
                    self._answer(segment)
                return False
            self._send_reset(segment)
            return False
        if self.established:
            return True
        if self.connecting:
            return self._answer_to_syn(segment)
        if segment.kind == "RST":
            self._leave_backlog()
            return False
        self._enter_backlog()
        return True

    def _answer(self, segment: Segment) -> None:
        """Acknowledge once more, after the end."""
        ack = Segment("ACK", self, self.local, self.remote, segment.sender, self.next)
        self.wire.send(ack, segment.origin.arrived)

    def _end_if_all_is_done(self) -> None:
        """The peer's stream is complete; so the connection is over, if ours is."""
        if self.fin_sent and self.unacknowledged == self.next and not self.dead:
            self._send_acknowledgement()
            self._closed()

    def _reset_arrived(self) -> None:
        self.fail(errno.EPIPE if self.fin_received else errno.ECONNRESET, "reset by the peer")

    # What the application does.

    def shut_down(self, *, read: bool, write: bool) -> None:
        """Close one half or both."""
        if read:
            self.read_shut = True
            self.watcher.wake_reader()
        if write and not self.fin_queued:
            self.fin_queued = True
            self.watcher.wake_writer()
            self._push()

    def close(self) -> None:
        """Close: what was sent is delivered, unless something is unread, or ``SO_LINGER`` says otherwise."""
        self.watcher = NOBODY
        if self.dead:
            self._release()
            return
        self.orphaned = True
        on, seconds = self.options.linger
        if self.connecting:
            self.vanish()
        elif self.incoming or (on and not seconds):
            self.reset()
        else:
            self.read_shut = True
            if not self.fin_queued:
                self.fin_queued = True
                self._push()
            if not self.fin_received:
                self.wire.call_later(FIN_TIMEOUT, self._stop_waiting_for_fin)

    def _stop_waiting_for_fin(self) -> None:
        if self.dead:
            return
        if self.fin_sent and self.unacknowledged == self.next:
            self.vanish()
        else:
            self.wire.call_later(FIN_TIMEOUT, self._stop_waiting_for_fin)

    # How it ends.

    def reset(self) -> None:
        """Tell the peer that it is over, and forget it."""
        self._send_reset()
        self._log("reset")
        self._end()

    def fail(self, number: int, what: str) -> None:
        """The connection is over; the next call of the application raises the error."""
        if self.dead:
            return
        self.error = number
        self._log(what)
        self._end()

    def vanish(self) -> None:
        """The connection is over, and nobody is told."""
        if not self.dead:
            self._end()

    def _closed(self) -> None:
        """Both halves are closed, and both ends know."""
        if not self.dead:
            self._log("closed")
            self._end()

    def _end(self) -> None:
        self.dead = True
        self.connecting = False
        self._stop_timer()
        if self.listener is not None:  # the handshake was not done yet: nobody will accept it
            self.listener.forget(self)
            self.listener = None
        self.outgoing.clear()
        self.in_flight.clear()
        self.out_of_order.clear()
        self.peer = None  # or the two would be a cycle, which only the garbage collector ends
        if self.stack.connections.get(self.key) is self:
            del self.stack.connections[self.key]
        ended(self)
        watcher = self.watcher
        if self.orphaned:
            self._release()
        watcher.wake_reader()
        watcher.wake_writer()

    def _release(self) -> None:
        """Give the port back, in TIME-WAIT after a while."""
        delay = self.waits_until - self.wire.now
        if delay > 0:
            self.binding.owner = None
            self.wire.call_later(delay, self.stack.ports.release, self.binding)
        else:
            self.stack.ports.release(self.binding)

    def _log(self, what: str) -> None:
        """Note the end of an established connection."""
        if self.established:
            self.network.log.add(
                self.host.name, "connection", f"connection {self.number} {what}", connection=self.number
            )
