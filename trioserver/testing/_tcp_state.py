"""What one end of a TCP connection knows."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ._tcp_stack import tcp_stack
from ._watchers import NOBODY

if TYPE_CHECKING:
    from ._addresses import IPAddress
    from ._fabric import Fabric
    from ._hosts import Host
    from ._ports import Binding
    from ._socket_options import SocketOptions
    from ._tcp_segments import End, Segment
    from ._tcp_stack import Backlog
    from ._watchers import Watcher
    from ._wire import Timer


class ConnectionState:
    """The variables of one end; `Connection` says what is done with them. Names in capitals are RFC 9293's.

    Attributes:
      number: The connection's, the same at both ends.
      peer: The other end, once the handshake has found it; None again when this end is over.
      local: This end's address.
      remote: The other end's address.
      watcher: Who waits for it.
      connecting: SYN-SENT.
      listener: In SYN-RECEIVED, whose backlog it will be in.
      established: Whether the handshake is done.
      dead: CLOSED, or TIME-WAIT until ``waits_until``: nothing is sent any more.
      orphaned: Whether the application has closed it.
      error: The errno that the next call is to raise, once; 0 if there is none.
      outgoing: What the application has sent and is in no segment yet.
      in_flight: Segments that are not acknowledged, in the order of the stream.
      unacknowledged: SND.UNA.
      next: SND.NXT.
      limit: SND.UNA + SND.WND: how far the peer has room.
      fin_queued: Whether the sending half was closed.
      fin_sent: Whether a FIN was sent, after all of the data.
      incoming: What was received and not read.
      out_of_order: Segments after a gap, by their place.
      expected: RCV.NXT.
      advertised: RCV.NXT + RCV.WND, as the peer was told.
      fin_received: Whether the peer's stream is complete.
      read_shut: Whether the receiving half was closed on this side.
    """

    __slots__ = (
        "acknowledging",
        "advertised",
        "binding",
        "connecting",
        "dead",
        "deferred",
        "error",
        "established",
        "expected",
        "fin_queued",
        "fin_received",
        "fin_sent",
        "host",
        "in_flight",
        "incoming",
        "limit",
        "listener",
        "local",
        "network",
        "next",
        "number",
        "options",
        "orphaned",
        "out_of_order",
        "outgoing",
        "peer",
        "peer_host",
        "read_at",
        "read_shut",
        "remote",
        "resend_at",
        "round_trip",
        "stack",
        "timed_at",
        "timed_end",
        "timeout",
        "timer",
        "tries",
        "unacknowledged",
        "unanswered",
        "variation",
        "waits_until",
        "watcher",
        "wire",
    )

    def __init__(
        self,
        network: Fabric,
        host: Host,
        peer_host: Host,
        local: IPAddress,
        remote: IPAddress,
        options: SocketOptions,
        binding: Binding,
        number: int,
    ) -> None:
        self.network = network
        self.wire = network.wire
        self.host = host
        self.peer_host = peer_host
        self.local = local
        self.remote = remote
        self.options = options
        self.binding = binding
        self.number = number
        self.stack = tcp_stack(host)
        self.peer: End | None = None
        self.watcher: Watcher = NOBODY
        self.listener: Backlog | None = None
        self.connecting = self.established = self.dead = self.orphaned = False
        self.error = 0
        # The sending half.
        self.outgoing = bytearray()
        self.in_flight: deque[Segment] = deque()
        self.unacknowledged = self.next = self.limit = 0
        self.fin_queued = self.fin_sent = self.deferred = False
        # Sending again (RFC 6298): the one timer and when it is due, tries since there was progress, tries
        # since there was an answer, the segment that is timed, the round-trip time and its variation.
        self.timer: Timer | None = None
        self.resend_at = 0.0
        self.tries = self.unanswered = 0
        self.timed_end = 0
        self.timed_at = 0.0
        self.timeout = self.round_trip = self.variation = 0.0
        # The receiving half.
        self.incoming = bytearray()
        self.out_of_order: dict[int, Segment] = {}
        self.expected = 0
        self.advertised = options.receive_bytes
        self.fin_received = self.read_shut = self.acknowledging = False
        self.read_at = 0.0
        self.waits_until = 0.0

    @property
    def key(self) -> tuple[IPAddress, IPAddress]:
        """What it is known by on its host."""
        return self.local, self.remote

    @property
    def unsent_bytes(self) -> int:
        """What the peer has not acknowledged; a FIN counts as one."""
        return len(self.outgoing) + self.next - self.unacknowledged + (self.fin_queued and not self.fin_sent)

    def arrived(self, segment: Segment) -> None:
        """Take a segment from the wire."""
        raise NotImplementedError
