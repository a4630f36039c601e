"""The seam between trioserver and datagram sockets, as `Endpoint` is for streams."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import trio

from .._vocabulary.errors import ConfigError
from .endpoint import KernelEndpoint, has_custom_factory

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from _typeshed import ReadableBuffer

    from .endpoint import Address


@runtime_checkable
class DatagramEndpoint(Protocol):
    """A datagram socket that is not connected, non-blocking, and the way to wait for it.

    The ``_nowait`` functions never wait: they raise ``BlockingIOError`` when there is no datagram, or no
    room for one, and the ``OSError`` of the system call otherwise. The ``wait`` functions are those of
    `Endpoint`: checkpoints that may return early, and that raise ``trio.BusyResourceError`` when another task
    waits for the same, and ``trio.ClosedResourceError`` when the endpoint is closed or `interrupt` is called.
    """

    @property
    def socket(self) -> Any:
        """What has ``getsockopt``, ``setsockopt``, ``getsockname``, ``fileno``, ``family``."""
        ...

    def recvfrom_nowait(self, max_bytes: int, /) -> tuple[bytes, Address]:
        """Take a datagram, cut after so many bytes, and the address of its sender."""
        ...

    def sendto_nowait(self, data: ReadableBuffer, address: Address, /) -> int:
        """Send a datagram, whole or not at all."""
        ...

    def bind(self, address: Address) -> None:
        """Bind to an address that needs no name resolution."""

    def wait_readable(self) -> Awaitable[None]:
        """Wait until there is a datagram, or an error to read."""
        ...

    def wait_writable(self) -> Awaitable[None]:
        """Wait until there is room for a datagram."""
        ...

    def interrupt(self) -> None:
        """Make whoever waits look again, by ``trio.ClosedResourceError``; the endpoint stays open."""

    def close(self) -> None:
        """Close at once; whoever waits gets ``trio.ClosedResourceError``. Closing twice is fine."""


class KernelDatagramEndpoint(KernelEndpoint):
    """A `DatagramEndpoint` on a socket of the operating system.

    Takes ownership of the socket and makes it non-blocking.

    Attributes:
      recvfrom_nowait: The socket's own ``recvfrom``, which a datagram needs no function of ours around.
      sendto_nowait: The socket's own ``sendto``.
    """

    __slots__ = ("recvfrom_nowait", "sendto_nowait")

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.recvfrom_nowait = sock.recvfrom
        self.sendto_nowait = sock.sendto

    def bind(self, address: Address) -> None:
        """Bind to an address that needs no name resolution."""
        self.socket.bind(address)


def open_datagram_endpoint(family: int, kind: int = socket.SOCK_DGRAM) -> DatagramEndpoint:
    """Make a socket: the kernel's, or that of the socket factory which trio was given.

    Raises:
      ConfigError: The socket factory makes sockets that are not datagram endpoints.
    """
    if not has_custom_factory():
        return KernelDatagramEndpoint(socket.socket(family, kind))
    made = trio.socket.socket(family, kind)
    if isinstance(made, DatagramEndpoint):
        return made
    made.close()
    raise ConfigError(
        f"the installed socket factory makes {type(made).__name__} objects, on which trioserver can not "
        "serve datagrams: they need the methods of a datagram endpoint (recvfrom_nowait, sendto_nowait, "
        "wait_readable, wait_writable, interrupt)"
    )
