"""How a connection begins: SYN, SYN-ACK, and the acknowledgement after which it is in the backlog.

INV-3: An end that is ``established`` has a ``peer``, and knows how much room that has.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from trioserver import format_address

from ._tcp_handle import established
from ._tcp_receiving import Receiving
from ._tcp_segments import Segment, note_lost
from ._tcp_stack import tcp_stack

if TYPE_CHECKING:
    from ._tcp_stack import Backlog

SYN_TIMEOUT: Final = 1.0
"""Seconds until the first SYN is sent again: RFC 6298 section 2.1. It doubles each time."""
SYN_TRIES: Final = 6
"""Linux's ``tcp_syn_retries``: connecting fails after 127 s, see tcp(7)."""
SYN_ACK_TRIES: Final = 5
"""Linux's ``tcp_synack_retries``: what is not acknowledged leaves the backlog after 63 s."""


class Handshake(Receiving):
    """The beginning of a connection."""

    __slots__ = ()

    # The client's side.

    def connect(self) -> None:
        """Send the first SYN."""
        self.connecting = True
        self.timed_at = self.wire.now
        self.stack.connections[self.key] = self
        self._send_syn()

    def _send_syn(self) -> None:
        syn = Segment("SYN", self, self.local, self.remote, self.peer_host, 0)
        self.timer = self.wire.call_later(SYN_TIMEOUT * 2**self.tries, self._syn_timer_fires)
        self.wire.send(syn, self._syn_arrived, note_lost)

    def _syn_timer_fires(self) -> None:
        self.timer = None
        if self.dead or not self.connecting:
            return
        if self.tries >= SYN_TRIES:
            self.fail(errno.ETIMEDOUT, "timed out")
            return
        self.tries += 1
        self._send_syn()

    def _answer_to_syn(self, segment: Segment) -> bool:
        """A segment for an end that connects; whether it is to be taken as for one that is connected."""
        if segment.kind == "RST":
            self.fail(errno.ECONNREFUSED, "refused")
        if segment.kind != "SYN-ACK":
            return False
        self._stop_timer()
        self.connecting = False
        self.peer, self.peer_host = segment.origin, segment.sender  # INV-3
        self.limit = segment.limit
        self._begin(exact=not self.tries)
        established(self, is_client=True)
        self._send_window()
        self.network.log.add(
            self.host.name,
            "connection",
            f"connection {self.number} to {format_address(self.remote)} established",
            connection=self.number,
        )
        self.watcher.wake_writer()
        return False

    def _begin(self, *, exact: bool) -> None:
        """The handshake is done; its round trip is the first that was measured, if no SYN was sent again."""
        self.established = True
        self.tries = 0
        self._measured(self.wire.now - self.timed_at if exact else SYN_TIMEOUT)

    # The server's side.

    def _syn_arrived(self, segment: Segment) -> None:
        """The client's SYN has reached the other host."""
        host = segment.receiver
        stack = tcp_stack(host)
        known = stack.connections.get((segment.destination, segment.source))
        if known is self:  # a socket that connects to itself: Linux lets it, here it is refused
            known = None
        if known is not None and known.number == self.number:
            known.syn_again()
            return
        binding = stack.ports.find(segment.destination, segment.source)
        listener: Backlog | None = None if binding is None else binding.owner
        if listener is None:
            refusal = Segment("RST", self, segment.destination, segment.source, self.host, 0)
            refusal.sender = host
            self.wire.send(refusal, self.arrived)
            return
        if listener.is_full:
            self.network.log.add(
                host.name,
                "connection",
                f"the backlog of {format_address(segment.destination)} is full: SYN dropped",
                connection=self.number,
            )
            return
        if known is not None:
            known.fail(errno.ECONNRESET, "replaced by another from the same port")
        listener.begin(segment)

    def syn_again(self) -> None:
        """The client's SYN came twice: it may not have got the answer."""
        if self.established:
            self._send_window()
        else:
            self._send_syn_ack()

    def answer(self, syn: Segment, listener: Backlog) -> None:
        """Begin as the server's end."""
        self.peer = syn.origin  # INV-3
        self.limit = syn.limit
        self.listener = listener
        self.timed_at = self.wire.now
        self.stack.connections[self.key] = self
        self._send_syn_ack()
        self._set_syn_ack_timer()

    def _send_syn_ack(self) -> None:
        assert self.peer is not None
        answer = Segment("SYN-ACK", self, self.local, self.remote, self.peer_host, 0)
        self.wire.send(answer, self.peer.arrived, note_lost)

    def _set_syn_ack_timer(self) -> None:
        self.timer = self.wire.call_later(SYN_TIMEOUT * 2**self.tries, self._syn_ack_timer_fires)

    def _syn_ack_timer_fires(self) -> None:
        self.timer = None
        if self.dead or self.established:
            return
        if self.tries >= SYN_ACK_TRIES:
            self._leave_backlog()
            return
        self.tries += 1
        self._send_syn_ack()
        self._set_syn_ack_timer()

    def _enter_backlog(self) -> None:
        """The client has got the answer: the connection can be accepted."""
        self._stop_timer()
        self._begin(exact=not self.tries)
        established(self, is_client=False)
        assert self.listener is not None
        self.listener.complete(self)
        self.listener = None

    def _leave_backlog(self) -> None:
        """The client does not want it, or never answers."""
        self.vanish()
