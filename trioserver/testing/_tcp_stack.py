"""What one host knows of its TCP connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ._ports import PortTable

if TYPE_CHECKING:
    from ._addresses import IPAddress
    from ._hosts import Host
    from ._tcp_segments import Segment


class Known(Protocol):
    """A connection, as far as a SYN for it has to know it."""

    number: int

    def syn_again(self) -> None:
        """Its SYN came twice."""

    def fail(self, number: int, what: str) -> None:
        """It is over, with this errno."""


class Backlog(Protocol):
    """A listener, as far as a handshake has to know it."""

    @property
    def is_full(self) -> bool:
        """Whether there is no place for another."""
        ...

    def begin(self, syn: Segment) -> None:
        """A client wants to connect."""

    def complete(self, connection: Any) -> None:
        """A handshake is done."""

    def forget(self, connection: Any) -> None:
        """A handshake has failed."""


class TCPStack:
    """What one host knows of TCP. A crash forgets it; the next use makes another."""

    __slots__ = ("connections", "ports")

    def __init__(self) -> None:
        self.ports = PortTable()
        self.connections: dict[tuple[IPAddress, IPAddress], Known] = {}
        """By own and other address; those that are closed and have still to deliver are here, too."""


def tcp_stack(host: Host) -> TCPStack:
    """The host's; it is made at the first use."""
    try:
        stack: TCPStack = host.tcp["stack"]
    except KeyError:
        stack = host.tcp["stack"] = TCPStack()
    return stack
