"""Simulated sockets as endpoints: what the servers of trioserver use, and what never waits."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ._addresses import error
from ._socket_names import Named

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class EndpointMethods(Named):
    """The part of `SimulatedSocket` that is an ``Endpoint``, but for `SimulatedSocket.accept_nowait`."""

    @property
    def socket(self) -> EndpointMethods:
        """Itself: an endpoint and its socket are one here."""
        return self

    @property
    def short_means_empty(self) -> bool:
        """True: waiting ends at once where there is more."""
        return True

    def recv_nowait(self, max_bytes: int) -> bytes:
        """Receive at most so many bytes; ``BlockingIOError`` when there are none."""
        core = self._core
        if core is None:
            raise error(errno.EBADF)
        return core.receive(max_bytes)

    def send_nowait(self, data: ReadableBuffer) -> int:
        """Send what fits; ``BlockingIOError`` when nothing does."""
        core = self._core
        if core is None:
            raise error(errno.EBADF)
        return core.send(data)

    def recvfrom_nowait(self, max_bytes: int, /) -> tuple[bytes, Any]:
        """Take a datagram, cut after so many bytes, and the address of its sender."""
        return self._opened().receive_from(max_bytes)[:2]

    def sendto_nowait(self, data: ReadableBuffer, address: Any, /) -> int:
        """Send a datagram to an address that needs no name resolution, whole or not at all."""
        core = self._opened()
        return core.send_to(data, self._numeric(core, address))

    def unsent_bytes(self) -> int:
        """Bytes that were sent and not yet acknowledged; on Unix sockets, not yet read."""
        return self._opened().unsent_bytes()
