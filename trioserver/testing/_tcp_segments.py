"""TCP segments: packets that know their place in the stream of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from ._packets import Packet

if TYPE_CHECKING:
    from ._hosts import Host
    from ._packets import PacketKind

MAX_SEGMENT_BYTES: Final = 1460
"""What an Ethernet frame of 1500 bytes leaves after the headers of IPv4 and TCP (RFC 9293 section 3.7.1)."""

PROBE: Final = -1
"""The sequence number of an ``"ACK"`` segment that asks for one in return (RFC 9293 section 3.8.6.1)."""


class End(Protocol):
    """One end of a connection, as far as segments know it; see `ConnectionState`."""

    host: Host
    number: int
    expected: int
    advertised: int

    def arrived(self, segment: Segment) -> None:
        """Take a segment from the wire."""


class Segment(Packet):
    """One segment.

    Attributes:
      origin: The end of the connection that has sent it, for answers.
      sequence: The place of its first byte in the stream; the stream begins at 0, and a FIN counts as a byte.
      end: The place after its last.
      acknowledged: The place up to which the sender has received everything.
      limit: The place up to which the sender has room.
      gap_end: Where the sender has received more, after a gap: the end of that; else 0.
      lost: Whether the wire has lost it. The sender acts on that no earlier than it could have found out.
    """

    __slots__ = ("acknowledged", "end", "gap_end", "limit", "lost", "origin", "sequence")

    def __init__(
        self,
        kind: PacketKind,
        origin: End,
        source: Any,
        destination: Any,
        receiver: Host,
        sequence: int,
        data: bytes = b"",
    ) -> None:
        # Not through Packet.__init__: there are 100,000 of these in a second.
        self.protocol = "tcp"
        self.kind: PacketKind = kind
        self.source = source
        self.destination = destination
        self.sender = origin.host
        self.receiver = receiver
        self.data = data
        self.connection = origin.number
        self.number = 0
        self.origin = origin
        self.sequence = sequence
        self.end = sequence + len(data)
        self.acknowledged = origin.expected
        self.limit = origin.advertised
        self.gap_end = 0
        self.lost = False


def note_lost(segment: Any) -> None:
    """What the wire calls when it loses a segment."""
    segment.lost = True
