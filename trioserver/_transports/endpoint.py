"""The seam between trioserver and sockets: everything above it sees an `Endpoint`.

An endpoint is one non-blocking socket and the way to wait for it. Two things can be put in here without a
change above: a simulated network, through trio's own hook
(``trio.socket.set_custom_socket_factory`` with a factory whose sockets are endpoints), and a faster way
to wait than ``trio.lowlevel.wait_readable``.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import trio

from .._vocabulary.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from _typeshed import ReadableBuffer

Address: TypeAlias = Any
"""A socket address: a tuple for IP, a path (or ``""``) for Unix sockets."""


@runtime_checkable
class Endpoint(Protocol):
    """A connected socket, non-blocking, and the way to wait for it.

    The ``_nowait`` functions never wait: they raise ``BlockingIOError`` when there is nothing to do, and
    the ``OSError`` of the system call otherwise. The ``wait`` functions are checkpoints. They may return
    early, so that the caller looks again and finds nothing. They raise ``trio.BusyResourceError`` when
    another task waits for the same, and ``trio.ClosedResourceError`` when the endpoint is closed, before or
    meanwhile, or `interrupt` is called. They may be plain functions that return what is to be awaited, at
    once: so they are called where Ctrl-C does not strike.
    """

    @property
    def socket(self) -> Any:
        """What has ``getsockopt``, ``setsockopt``, ``getsockname``, ``getpeername``, ``fileno``."""
        ...

    @property
    def short_means_empty(self) -> bool:
        """Whether, after a receive that got less than it asked for, one may wait without another try."""
        ...

    def recv_nowait(self, max_bytes: int) -> bytes:
        """Receive at most so many bytes; ``b""`` is the end of the stream."""
        ...

    def send_nowait(self, data: ReadableBuffer) -> int:
        """Send what fits; returns how many bytes that were."""
        ...

    def wait_readable(self) -> Awaitable[None]:
        """Wait until a receive, or an accept, would do something."""
        ...

    def wait_writable(self) -> Awaitable[None]:
        """Wait until a send would do something."""
        ...

    def interrupt(self) -> None:
        """Make whoever waits look again, by ``trio.ClosedResourceError``; the endpoint stays open."""

    def shutdown(self, how: int) -> None:
        """Close one half or both, as ``socket.shutdown``."""

    def unsent_bytes(self) -> int | None:
        """Bytes that were sent and not yet acknowledged; ``None`` where that can not be known."""
        ...

    def close(self) -> None:
        """Close at once; whoever waits gets ``trio.ClosedResourceError``. Closing twice is fine."""


@runtime_checkable
class ListeningEndpoint(Endpoint, Protocol):
    """A socket to bind, and to accept connections from."""

    def bind(self, address: Address) -> None:
        """Bind to an address that needs no name resolution."""

    def listen(self, backlog: int) -> None:
        """Queue connections for `accept_nowait`."""

    def accept_nowait(self) -> tuple[Endpoint, Address]:
        """Take a connection off the backlog."""
        ...


class KernelEndpoint:
    """An `Endpoint` on a socket of the operating system, waiting through trio's own I/O manager.

    Takes ownership of the socket and makes it non-blocking.
    """

    __slots__ = ("readable", "short_means_empty", "socket")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock
        # trio's waiting is level-triggered, and ends at once where there is more.
        self.short_means_empty: bool = True
        self.readable: bool = False  # whether something has come for which nobody waited, where that is noted

    # A stream may receive from and send to the socket itself, and save a call. Then it tells what it found,
    # and makes `readable` false where it has taken all.

    def found_empty(self) -> None:
        """Note that a receive found nothing."""

    def found_full(self) -> None:
        """Note that a send found no room."""

    def recv_nowait(self, max_bytes: int) -> bytes:
        """Receive at most so many bytes."""
        return self.socket.recv(max_bytes)

    def send_nowait(self, data: ReadableBuffer) -> int:
        """Send what fits."""
        return self.socket.send(data)

    def wait_readable(self) -> Awaitable[None]:
        """Wait until a receive, or an accept, would do something."""
        if self.socket.fileno() == -1:
            raise trio.ClosedResourceError("this socket was closed")
        return trio.lowlevel.wait_readable(self.socket)  # noqa: ASYNC105  the caller awaits it

    def wait_writable(self) -> Awaitable[None]:
        """Wait until a send would do something."""
        if self.socket.fileno() == -1:
            raise trio.ClosedResourceError("this socket was closed")
        return trio.lowlevel.wait_writable(self.socket)  # noqa: ASYNC105

    def interrupt(self) -> None:
        """Make whoever waits look again.

        ``notify_closing`` is trio's public way to wake the tasks that wait for a descriptor. Nothing
        obliges the caller to close it then, and it can be waited for again.
        """
        if self.socket.fileno() != -1:
            trio.lowlevel.notify_closing(self.socket)

    def shutdown(self, how: int) -> None:
        """Close one half or both."""
        self.socket.shutdown(how)

    def unsent_bytes(self) -> int | None:
        """Bytes in the send queue: ``SIOCOUTQ``, see tcp(7) and unix(7)."""
        if sys.platform != "linux":
            return None
        import fcntl
        import termios

        answer = fcntl.ioctl(self.socket.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        return int.from_bytes(answer, sys.byteorder)

    def close(self) -> None:
        """Close at once."""
        if self.socket.fileno() != -1:
            trio.lowlevel.notify_closing(self.socket)
            self.socket.close()


class KernelListener(KernelEndpoint):
    """A `ListeningEndpoint` on a socket of the operating system.

    The connections that it accepts have Nagle's algorithm turned off.

    Attributes:
      make: Makes the endpoint of an accepted connection; a server that serves sets it.
    """

    __slots__ = ("_accept", "_nagle", "make")

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._accept = _accepting(sock)
        self.make: Callable[[socket.socket], Endpoint] = KernelEndpoint
        self._nagle = sock.family in (socket.AF_INET, socket.AF_INET6)  # to be turned off for each connection

    def bind(self, address: Address) -> None:
        """Bind to an address that needs no name resolution."""
        self.socket.bind(address)

    def listen(self, backlog: int) -> None:
        """Queue connections for `accept_nowait`."""
        sock = self.socket
        if (
            self._nagle
            and sys.platform == "linux"
            and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        ):
            # On Linux a connection has the options that the listening socket had when it was made.
            disable_nagle(sock)
            self._nagle = False
        sock.listen(backlog)

    def accept_nowait(self) -> tuple[Endpoint, Address]:
        """Take a connection off the backlog."""
        sock, address = self._accept()
        try:
            if self._nagle:
                disable_nagle(sock)
            return self.make(sock), address
        except BaseException:
            sock.close()  # P2: a descriptor that was accepted is never left to the garbage collector
            raise


def _accepting(listener: socket.socket) -> Callable[[], tuple[socket.socket, Address]]:
    """``listener.accept``, or what that comes to, but for finding out each time what kind of socket it is.

    It makes enums of the family and the type for that, which takes a quarter of its time (measured).
    """
    accept = getattr(listener, "_accept", None)  # the standard library's own; an interpreter need not have it
    if accept is None or type(listener) is not socket.socket:
        return listener.accept
    kind = (listener.family, listener.type, listener.proto)

    def accept_one() -> tuple[socket.socket, Address]:
        fd, address = accept()
        try:
            return socket.socket(*kind, fd), address
        except BaseException:
            socket.close(fd)  # P2
            raise

    return accept_one


def open_endpoint(family: int, kind: int, proto: int = 0) -> ListeningEndpoint:
    """Make a socket: the kernel's, or that of the socket factory which trio was given.

    Raises:
      ConfigError: The socket factory makes sockets that are not endpoints.
    """
    if not has_custom_factory():
        return KernelListener(socket.socket(family, kind, proto))
    made = trio.socket.socket(family, kind, proto)
    if isinstance(made, ListeningEndpoint):
        return made
    made.close()
    raise ConfigError(
        f"the installed socket factory makes {type(made).__name__} objects, which trioserver can not "
        "serve: they need the methods of an endpoint (recv_nowait, send_nowait, accept_nowait, "
        "wait_readable, wait_writable, interrupt, unsent_bytes)"
    )


def has_custom_factory() -> bool:
    """Whether ``set_custom_socket_factory`` is in force; there is no other public way to ask."""
    factory = trio.socket.set_custom_socket_factory(None)
    trio.socket.set_custom_socket_factory(factory)
    return factory is not None


def disable_nagle(sock: Any) -> None:
    """Turn Nagle's algorithm off on a TCP socket.

    With it a reply in two writes waits for the delayed acknowledgement of the first: 40 ms, measured. trio,
    asyncio and Go turn it off, too. A connection that the peer has reset already may refuse the option.
    """
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
