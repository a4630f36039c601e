"""What a worker thread is lent for the length of a request, and how it is taken away from it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Protocol

from .._transports.blocking_datagrams import BlockingDatagramSocket
from .._transports.blocking_streams import raised_in
from .._transports.datagram_errors import PEER_ERRORS

if TYPE_CHECKING:
    from .._transports.datagram_socket import Datagram


class Loan(Protocol):
    """The request as its handler gets it; ``BlockingConnection`` is the one for streams."""

    @property
    def request(self) -> object:
        """What the handler gets."""
        ...

    def close(self) -> None:
        """The thread has done with it, or never had it."""

    def cancel(self) -> None:
        """End what blocks in the thread; from the trio thread."""

    def leave(self) -> None:
        """The same, and the server goes on without the thread."""

    def cancellation_explains(self, error: Exception) -> bool:
        """Whether a handler may have raised this because of `cancel` or `leave`."""
        ...

    def is_peers_doing(self, error: BaseException) -> bool:
        """Whether an error means no more than that the peer of this request went away."""
        ...


class DatagramLoan:
    """A datagram, with a socket to reply through, which belongs to the server: there is nothing to shut."""

    def __init__(self, datagram: Datagram) -> None:
        self._socket = BlockingDatagramSocket(datagram.socket)
        self.request: object = (datagram.data, self._socket)

    def close(self) -> None:
        """Nothing."""

    def cancel(self) -> None:
        """Wait for room to send no longer. What there is room for is still sent."""
        self._socket.cancel()

    def leave(self) -> None:
        """Send nothing more."""
        self._socket.close()

    def cancellation_explains(self, error: Exception) -> bool:
        """Only what came of a reply that could not be sent any more."""
        return _error_of_reply(error) == errno.ECANCELED

    def is_peers_doing(self, error: BaseException) -> bool:
        """Whether a reply failed since the client is gone."""
        return _error_of_reply(error) in PEER_ERRORS


class NoLoan:
    """A request that is no socket; the handler gets it as it is."""

    def __init__(self, request: Any) -> None:
        self.request: object = request

    def close(self) -> None:
        """Nothing."""

    def cancel(self) -> None:
        """Nothing."""

    def leave(self) -> None:
        """Nothing."""

    def cancellation_explains(self, error: Exception) -> bool:
        """False: nothing was done to the thread."""
        return False

    def is_peers_doing(self, error: BaseException) -> bool:
        """False: nothing is known of a peer."""
        return False


def _error_of_reply(error: BaseException) -> int | None:
    """The errno of what ``sendto`` raised, if that is what ``error`` is."""
    if isinstance(error, OSError) and any(isinstance(o, BlockingDatagramSocket) for o in raised_in(error)):
        return error.errno
    return None
