"""The datagram sockets of one server, behind one ``receive``."""

from __future__ import annotations

import errno
import socket
import sys
from typing import TYPE_CHECKING, Final, TypeAlias

from .datagram_endpoint import DatagramEndpoint
from .datagram_errors import RECEIVE_ERRORS
from .datagram_losses import kernel_drops
from .datagram_socket import DATAGRAMS_PER_CHECKPOINT, Datagram, DatagramSocket, TruncatedDatagram
from .listeners import SocketGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .datagram_losses import LossCounts
    from .endpoint import Address

    Received: TypeAlias = tuple[Datagram, Address]

_MAX_QUEUED_ERRORS: Final = 1024
_WRAP: Final = 2**32
_new: Final = tuple.__new__
"""Makes a `Datagram` in half the time that ``Datagram(data, socket)`` takes, a function in Python."""


class DatagramGroup(SocketGroup[DatagramEndpoint]):
    """One or more datagram endpoints, which it owns.

    Several are served in turn, so that a busy one does not starve the others.
    """

    def __init__(self, endpoints: Sequence[DatagramEndpoint], losses: LossCounts) -> None:
        super().__init__(endpoints)
        self.datagram_sockets = tuple(DatagramSocket(endpoint, losses) for endpoint in self._endpoints)
        self._only = self.datagram_sockets[0] if len(self.datagram_sockets) == 1 else None
        self._recvfrom = self._endpoints[0].recvfrom_nowait
        self._drops_before = [kernel_drops(sock) for sock in self.sockets]  # of one that was adopted

    async def receive(self, max_bytes: int) -> Received:
        """Wait, and then take a datagram; for when `receive_nowait` has found none.

        There is no checkpoint after it was taken (P2): the caller has it.

        Raises:
          OSError: What recvfrom(2) said of the socket, or of a peer; see ``receive_error_passes``.
          trio.ClosedResourceError: A socket was closed, or the wait interrupted.
        """
        while True:
            await self.wait_any_readable()
            try:
                return self.receive_nowait(max_bytes)
            except BlockingIOError:
                self._discard_queued_errors()

    def receive_nowait(self, max_bytes: int) -> Received:
        """Take a datagram; raises ``BlockingIOError`` when there is none.

        One that is longer than ``max_bytes`` is cut and flagged: to see that, one byte more is asked for.
        """
        return self.receiver(max_bytes)()

    def receiver(self, max_bytes: int) -> Callable[[], Received]:
        """`receive_nowait` for many datagrams: what each would have to look up is at hand."""
        ask = max_bytes + 1
        only, recvfrom, receive_in_turn = self._only, self._recvfrom, self._receive_in_turn

        def receive() -> Received:
            if (source := only) is not None:
                data, address = recvfrom(ask)
            else:
                source, data, address = receive_in_turn(ask)
            source.budget = DATAGRAMS_PER_CHECKPOINT  # P10: each request's own, whoever was served before it
            if len(data) > max_bytes:
                return TruncatedDatagram(data[:max_bytes], source), address
            return _new(Datagram, (data, source)), address

        return receive

    def _receive_in_turn(self, max_bytes: int) -> tuple[DatagramSocket, bytes, Address]:
        sources = self.datagram_sockets
        for _ in sources:
            self._turn = (self._turn + 1) % len(sources)
            source = sources[self._turn]
            try:
                data, address = source.endpoint.recvfrom_nowait(max_bytes)
            except BlockingIOError:
                continue
            return source, data, address
        raise BlockingIOError

    def _discard_queued_errors(self) -> None:
        """Read what a wait ended for that was not a datagram.

        With IP_RECVERR set, see ip(7), Linux keeps each ICMP error in a queue of its own, and lets no wait
        for the socket begin until that is empty: this would spin.
        """
        if sys.platform != "linux":
            return
        for sock in self.sockets:
            if not isinstance(sock, socket.socket) or sock.family == socket.AF_UNIX:
                continue
            try:
                for _ in range(_MAX_QUEUED_ERRORS):
                    sock.recvmsg(0, 0, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
            except OSError:
                continue

    @property
    def closed(self) -> bool:
        """Whether a socket was closed, here or by somebody else."""
        return not self._endpoints or any(sock.fileno() == -1 for sock in self.sockets)

    def interrupt(self) -> None:
        """Let `receive`, if it waits, raise ``trio.ClosedResourceError``."""
        for endpoint in self._endpoints:
            endpoint.interrupt()

    def kernel_drops(self) -> int | None:
        """How many datagrams the kernel dropped on these sockets; ``None`` if it does not say."""
        total = 0
        for sock, before in zip(self.sockets, self._drops_before, strict=True):
            now = kernel_drops(sock)
            if now is None or before is None:
                return None
            total += (now - before) % _WRAP
        return total

    def close(self) -> None:
        """Close them all."""
        for source in self.datagram_sockets:
            source.close()
        super().close()


def receive_error_passes(error: OSError) -> bool:
    """Whether `DatagramGroup.receive` may be called again after this error: it was about one datagram."""
    return error.errno in RECEIVE_ERRORS


def closed_error() -> OSError:
    """What the engine expects to see when a server's socket was closed while it was waited for."""
    return OSError(errno.EBADF, "the server's socket was closed")
