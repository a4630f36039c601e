"""The sockets of one server, waited for as one; the listening ones behind one ``accept``."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import trio

from .endpoint import KernelListener, ListeningEndpoint, disable_nagle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .endpoint import Address, Endpoint

    Make: TypeAlias = Callable[[socket.socket], Endpoint]


class _Waitable(Protocol):
    """What endpoints of all kinds have."""

    @property
    def socket(self) -> Any: ...

    def wait_readable(self) -> Awaitable[None]: ...

    def close(self) -> None: ...


EndpointT = TypeVar("EndpointT", bound=_Waitable)


class SocketGroup(Generic[EndpointT]):
    """One or more bound endpoints, which it owns."""

    def __init__(self, endpoints: Sequence[EndpointT]) -> None:
        self._endpoints = list(endpoints)
        self._turn = 0

    @property
    def endpoints(self) -> tuple[EndpointT, ...]:
        """The endpoints, in the order in which they were given."""
        return tuple(self._endpoints)

    @property
    def sockets(self) -> tuple[Any, ...]:
        """Their sockets."""
        return tuple(endpoint.socket for endpoint in self._endpoints)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses they are bound to."""
        return tuple(endpoint.socket.getsockname() for endpoint in self._endpoints)

    async def wait_any_readable(self) -> None:
        """Wait until one of them has something: a connection, or a datagram."""
        if len(self._endpoints) == 1:
            await self._endpoints[0].wait_readable()
            await trio.lowlevel.checkpoint_if_cancelled()  # P6: the limit may have been lowered meanwhile
            return

        failure: Exception | None = None

        async def watch(endpoint: EndpointT) -> None:
            nonlocal failure
            try:
                await endpoint.wait_readable()
            except Exception as error:
                failure = error  # raised below, bare: a group would be of our making (P4)
            nursery.cancel_scope.cancel()

        # A nursery for each wait, and not for each connection: a burst is accepted with one wait.
        async with trio.open_nursery() as nursery:
            for endpoint in self._endpoints:
                nursery.start_soon(watch, endpoint, name="trioserver: listener")
        if failure is not None:
            raise failure
        await trio.lowlevel.checkpoint_if_cancelled()  # P6

    def close(self) -> None:
        """Close them all."""
        endpoints, self._endpoints = self._endpoints, []
        for endpoint in endpoints:
            endpoint.close()


class ListenerGroup(SocketGroup[ListeningEndpoint]):
    """One or more listening endpoints, which it owns.

    Several are served in turn, so that a busy one does not starve the others.
    """

    def listen(self, backlog: int) -> None:
        """Begin to listen on all of them."""
        for endpoint in self._endpoints:
            if not isinstance(endpoint, KernelListener):
                disable_nagle(endpoint.socket)  # as that one does
            endpoint.listen(backlog)

    @property
    def of_kernel(self) -> bool:
        """Whether any of the sockets is the kernel's, and `accept_with` does anything."""
        return any(isinstance(endpoint, KernelListener) for endpoint in self._endpoints)

    def accept_with(self, make: Make, make_unix: Make) -> None:
        """Let these make the endpoints of accepted connections, where the socket is the kernel's."""
        for endpoint in self._endpoints:
            if isinstance(endpoint, KernelListener):
                inet = endpoint.socket.family in (socket.AF_INET, socket.AF_INET6)
                endpoint.make = make if inet else make_unix

    async def accept(self) -> tuple[Endpoint, Address]:
        """Take a connection, waiting if there is none.

        There is no checkpoint when one is there, nor after it was taken (P2): the caller has it.

        Raises:
          OSError: What accept(2) said; see ``trioserver._vocabulary.accept_errors``. ``EBADF`` when the
            listeners were closed meanwhile.
        """
        try:
            return self.accept_nowait()
        except BlockingIOError:
            return await self.accept_later()

    async def accept_later(self) -> tuple[Endpoint, Address]:
        """Wait, and then take a connection; for when `accept_nowait` has found none."""
        while True:
            try:
                await self.wait_any_readable()
            except trio.ClosedResourceError:
                raise OSError(errno.EBADF, "the listening socket was closed") from None
            try:
                return self.accept_nowait()
            except BlockingIOError:
                continue

    def accept_nowait(self) -> tuple[Endpoint, Address]:
        """Take a connection; raises ``BlockingIOError`` when there is none."""
        endpoints = self._endpoints
        if not endpoints:
            raise OSError(errno.EBADF, "the listening socket was closed")
        if len(endpoints) == 1:
            return endpoints[0].accept_nowait()
        for _ in endpoints:
            self._turn = (self._turn + 1) % len(endpoints)
            try:
                return endpoints[self._turn].accept_nowait()
            except BlockingIOError:
                continue
        raise BlockingIOError
