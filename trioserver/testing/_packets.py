"""Packets, and what a rule may say of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from ._checks import check_seconds
from ._packet_events import describe

if TYPE_CHECKING:
    from ._hosts import Host

Protocol: TypeAlias = Literal["tcp", "udp", "unix"]
PacketKind: TypeAlias = Literal["SYN", "SYN-ACK", "DATA", "FIN", "RST", "ACK", "DATAGRAM", "UNREACHABLE"]


class Packet:
    """One packet, as rules see it. Read it, never change it.

    A protocol that needs more of its packets, as the place of a segment in its stream, has a subclass.

    Attributes:
      protocol: ``"tcp"``, ``"udp"`` or ``"unix"``.
      kind: ``"SYN"``, ``"SYN-ACK"``, ``"DATA"``, ``"FIN"``, ``"RST"`` and ``"ACK"`` (the receiver has room
        again, or has got what was sent) of TCP and Unix streams, ``"DATAGRAM"``, and ``"UNREACHABLE"``, which
        is what a datagram to a port that nobody has is answered with.
      source: The address it comes from: ``(host, port)``, or the path of a Unix socket.
      destination: The address it goes to.
      sender: The `Host` it comes from.
      receiver: The `Host` it goes to.
      data: The bytes it carries.
      number: Counts the packets of the network, from 1, in the order in which they are sent.
      connection: Counts the connections of the network; None for datagrams.
    """

    __slots__ = (
        "connection",
        "data",
        "destination",
        "kind",
        "number",
        "protocol",
        "receiver",
        "sender",
        "source",
    )

    def __init__(
        self,
        protocol: Protocol,
        kind: PacketKind,
        source: Any,
        destination: Any,
        sender: Host,
        receiver: Host,
        data: bytes = b"",
        connection: int | None = None,
    ) -> None:
        self.protocol = protocol
        self.kind = kind
        self.source: Any = source
        self.destination: Any = destination
        self.sender: Host = sender
        self.receiver: Host = receiver
        self.data: bytes = data
        self.connection: int | None = connection
        self.number: int = 0  # the wire counts

    def __repr__(self) -> str:
        return describe(self.protocol, self.kind, self.source, self.destination, len(self.data))


class Verdict:
    """What a rule says of a packet: `Pass`, `Drop` or `Deliver`."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


Pass: Final = Verdict("Pass")
"""No answer: the next rule is asked, and after the last one the link decides."""

Drop: Final = Verdict("Drop")
"""The packet is lost. What is sent over TCP is sent again after a while."""


class Deliver(Verdict):
    """The packet arrives after ``delay`` seconds, whatever the link, a partition or a hold say.

    It may overtake packets that were sent before it, and be overtaken.
    """

    __slots__ = ("delay",)

    def __init__(self, delay: float) -> None:
        check_seconds("delay", delay)
        super().__init__(f"Deliver({delay:g})")
        self.delay: float = delay


Rule: TypeAlias = Callable[[Packet], Verdict]
"""Called with each packet when it is sent. It must not wait, and must not send anything itself."""
