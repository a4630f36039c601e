"""TCP connections as `Network.connections` lists them."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Protocol

from trioserver import format_address

if TYPE_CHECKING:
    from ._addresses import IPAddress
    from ._fabric import Fabric


class ListedEnd(Protocol):
    """One end of a connection, as far as it is to be listed."""

    network: Fabric
    number: int
    local: IPAddress
    remote: IPAddress
    peer: Any
    """The other end, listed or not."""

    def fail(self, number: int, what: str) -> None:
        """It is over, with this errno."""


class TCPConnection:
    """A TCP connection, from the end of its handshake until both ends are done with it.

    Attributes:
      number: Counts the connections of the network, as in ``Packet.connection``.
      client: The address ``(host, port)`` of the end that has connected.
      server: The address of the end that has accepted it, or will.
    """

    __slots__ = ("_ends", "client", "number", "server")

    def __init__(self, number: int, client: IPAddress, server: IPAddress) -> None:
        self.number = number
        self.client = client
        self.server = server
        self._ends: list[ListedEnd] = []

    def reset(self) -> None:
        """End it for both sides, as a middlebox does that has forgotten it: ``ECONNRESET``.

        Both get the error with their next call, or now if they wait in one. What they have received before
        can still be read, what was under way is lost.
        """
        for end in tuple(self._ends):
            # The server's end is not listed before the client's acknowledgement has reached it.
            for one in (end, end.peer):
                if one is not None:
                    one.fail(errno.ECONNRESET, "reset by the network")

    def __repr__(self) -> str:
        return f"<TCPConnection {self.number} {format_address(self.client)} > {format_address(self.server)}>"


def established(end: ListedEnd, *, is_client: bool) -> None:
    """One end of a connection begins to be."""
    known = end.network.open_connections
    handle = known.get(end.number)
    if not isinstance(handle, TCPConnection):
        client, server = (end.local, end.remote) if is_client else (end.remote, end.local)
        handle = known[end.number] = TCPConnection(end.number, client, server)
    handle._ends.append(end)


def ended(end: ListedEnd) -> None:
    """One end is no more."""
    known = end.network.open_connections
    handle = known.get(end.number)
    if isinstance(handle, TCPConnection) and end in handle._ends:
        handle._ends.remove(end)
        if not handle._ends:
            del known[end.number]
