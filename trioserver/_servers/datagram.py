"""`DatagramServer`: what UDP and Unix datagram servers have in common."""

from __future__ import annotations

import inspect
import socket
from typing import TYPE_CHECKING, Any, ClassVar, Final

import trio

from .._transports.adopt import Adoptable, adopt_datagram_endpoints
from .._transports.datagram_group import DatagramGroup, closed_error, receive_error_passes
from .._transports.datagram_losses import LossCounts
from .._transports.datagram_socket import Datagram
from .._vocabulary.options import check_count
from .base import ServerOptions
from .hooks import RequestT, ServerHooks
from .in_place import DONE, check_datagram_handler, in_place
from .sockets import SocketServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from typing_extensions import Unpack

    from .._transports.datagram_endpoint import DatagramEndpoint
    from .._transports.datagram_losses import DatagramsLost
    from .in_place import ServeInPlace

_HOOKS_OF_A_TASK: Final = (
    "verify_request",
    "handshake_request",
    "process_request",
    "shutdown_request",
    "close_request",
)
"""Whoever overrides one of these gets a task for it to wait in; so with finish_request."""

_LOOKED_UP_ONCE: Final = frozenset(
    {*_HOOKS_OF_A_TASK, "finish_request", "get_request", "max_packet_size", "RequestHandlerClass"}
)
"""Set on a server that serves, these need the accept loop to begin anew, and to ask how to serve."""


def _finish_request(request: Datagram, client_address: Any, server: DatagramServer) -> Awaitable[object]:
    return server.finish_request(request, client_address)


class DatagramServerOptions(ServerOptions, total=False):
    """The options of datagram servers that may be given as keywords."""

    max_packet_size: int


class DatagramSockets(SocketServer[RequestT, DatagramGroup]):
    """The sockets of a datagram server, whatever a request is there."""

    socket_type: int = socket.SOCK_DGRAM

    max_packet_size: int = 65535
    """The longest datagram that is received whole, in bytes; of a longer one the request is the beginning,
    and its ``truncated`` is true.

    No UDP datagram is longer than 65535 bytes (RFC 768). The stdlib's 8192 silently cuts what is longer, and
    a smaller number saves nothing: Python gives back what a datagram did not need, and to ask for 64 KiB
    takes no longer than to ask for 2 KiB (measured). Unix datagrams may be longer.
    """

    _option_types: ClassVar[type] = DatagramServerOptions

    def __init__(
        self,
        server_address: Any,
        RequestHandlerClass: Callable[[RequestT, Any, Any], object],
        bind_and_activate: bool = True,
        *,
        sock: Adoptable | Iterable[Adoptable] | None = None,
        **options: Unpack[DatagramServerOptions],
    ) -> None:
        self._sock = sock
        self._release_at_end = False
        self._losses = LossCounts()
        super().__init__(
            server_address,
            RequestHandlerClass,  # type: ignore[arg-type]  # may be one that is not awaited
            bind_and_activate,
            **options,  # type: ignore[misc]  # the base class looks the names up in _option_types
        )

    def _check_options(self) -> None:
        super()._check_options()
        check_count("max_packet_size", self.max_packet_size)

    # Opening and closing.

    async def _make_group(self) -> DatagramGroup:
        if self._sock is None:
            return DatagramGroup(await self._bind(), self._losses)
        return DatagramGroup(adopt_datagram_endpoints(self._sock, self.socket_type), self._losses)

    async def _bind(self) -> list[DatagramEndpoint]:
        """Make bound endpoints for ``server_address``."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to bind")

    def _release(self) -> None:
        super()._release()
        if self._engine.running:
            self._release_at_end = True  # handlers answer through the socket as long as they run
        elif self._group is not None:
            in_kernel = self._group.kernel_drops()
            before = self._losses.receive_buffer
            if in_kernel is None or before is None:
                self._losses.receive_buffer = None
            else:
                self._losses.receive_buffer = before + in_kernel
            self._group.close()
            self._group = None

    def _end_run(self) -> None:
        if self._release_at_end:
            self._release_at_end = False
            self._release()

    @property
    def datagrams_lost(self) -> DatagramsLost:
        """How many datagrams are known to be lost since the server was made, and how; a frozen snapshot."""
        return self._losses.snapshot(self._group.kernel_drops() if self._group is not None else 0)

    # Requests.

    async def _receive(self) -> tuple[Datagram, Any]:
        """Take a datagram, waiting if there is none. No checkpoint when there is one, nor after that (P2)."""
        group = self._group or self._bound()
        try:
            return group.receive_nowait(self.max_packet_size)
        except OSError as error:
            return await self._receive_after(group, error)

    async def _receive_after(self, group: DatagramGroup, error: OSError) -> tuple[Datagram, Any]:
        """Wait for a datagram, after an attempt that failed.

        What the network reports of an earlier datagram, "port unreachable" say, is counted and passed over.
        """
        while True:
            if not isinstance(error, BlockingIOError):
                if not receive_error_passes(error):
                    raise error
                self._engine.accept_errors += 1
                await trio.lowlevel.checkpoint()  # P7, P10: they may come in a flood
            try:
                return await group.receive(self.max_packet_size)
            except trio.ClosedResourceError:
                if group.closed:
                    raise closed_error() from None
                raise  # interrupted, by a subclass that does so
            except OSError as another:
                error = another

    def _interrupt_receive(self) -> None:
        """Let `_receive`, if it waits, raise ``trio.ClosedResourceError``."""
        if self._group is not None:
            self._group.interrupt()


class DatagramServer(DatagramSockets[Datagram]):
    """A server whose requests are datagrams. Abstract: use `UDPServer` or `UnixDatagramServer`.

    Each datagram has a task as long as it waits. Handlers that do not wait are called one after the other,
    in the order in which the datagrams came, in one task and without a task switch in between; as soon as
    one waits, the task is that datagram's alone, and another one goes on with the others. Either way each
    has context variables, and a cancellation, of its own, and none holds up another. After 64 in a row
    other tasks have their turn.

    A plain ``def`` function ``handler(request, client_address, server)``, or a handler class whose methods
    are all plain ``def``, is called in place, between two datagrams, without any task. That takes a little
    less time still, and *must not block*: nothing else in the program runs meanwhile. A server that
    overrides `verify_request`, `process_request`, `finish_request`, `shutdown_request` or `close_request`
    serves those in a task, too, since the hook may wait.

    Args:
      server_address: See the subclass.
      RequestHandlerClass: See `BaseServer`, and above. The request it gets is a `Datagram`, a tuple
        ``(data, socket)``.
      bind_and_activate: See `BaseServer`.
      sock: A socket to serve on, instead of one bound to ``server_address``, which may be ``None`` then: a
        stdlib socket, a trio socket, the number of a descriptor, or several of them. It must be bound. From
        the moment it is served or entered the server owns it and will close it. The file of an adopted Unix
        socket is never removed.
      options: Values for the class variables below and those of `BaseServer`.

    Options, on the class, the instance, or as keywords, beside those of `BaseServer`:
      max_packet_size: The longest datagram that is received whole, in bytes; 65535.

    With ``max_requests`` the server reads no further datagram while there are so many: they wait in the
    kernel's receive buffer, and are lost when that is full; see `datagrams_lost`.

    Other than a stream server's, the socket stays open until the last request has ended, which may still
    reply. Datagrams that come during the drain are not served.
    """

    _kind = "datagrams"
    _in_place: ServeInPlace | None = None
    _serving_in_place: ServeInPlace | None = None

    def _check_handler(self, handler: object) -> None:
        check_datagram_handler(handler, type(self).__name__)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _LOOKED_UP_ONCE:
            self._check_thread(name)
        super().__setattr__(name, value)
        if name == "RequestHandlerClass":
            self._in_place = in_place(value)
        if name in _LOOKED_UP_ONCE and "_engine" in self.__dict__:
            self._engine.limit_changed(0)

    async def get_request(self) -> tuple[Datagram, Any]:
        """Take a datagram, waiting if there is none. No checkpoint once it is taken (P2)."""
        group = self._group or self._bound()  # as _receive has it, but for a coroutine
        try:
            return group.receive_nowait(self.max_packet_size)
        except OSError as error:
            return await self._receive_after(group, error)

    @property
    def get_request_nowait(self) -> Callable[[], tuple[Datagram, Any]] | None:
        """Takes a datagram, or raises OSError; ``None`` where `get_request` is overridden."""
        if getattr(self.get_request, "__func__", None) is not DatagramServer.get_request:
            return None
        return (self._group or self._bound()).receiver(self.max_packet_size)

    async def wait_for_request(self) -> None:
        """Wait until there may be a datagram."""
        await (self._group or self._bound()).wait_any_readable()

    async def get_request_after(self, error: OSError) -> tuple[Datagram, Any]:
        """Take a datagram, waiting, after an attempt without a wait has failed."""
        return await self._receive_after(self._group or self._bound(), error)

    @property
    def handler_in_short(self) -> Callable[[Datagram, Any, Any], Awaitable[object]] | None:
        """The handler, or `finish_request`, where no other hook of a request is overridden."""
        if not self._only_finishes:
            return None
        if self._calls_handler and inspect.iscoroutinefunction(self.RequestHandlerClass):
            return self.RequestHandlerClass
        return _finish_request

    @property
    def _only_finishes(self) -> bool:
        """Whether `finish_request` is the only hook of a request that does anything."""
        return all(
            getattr(getattr(self, name), "__func__", None) is getattr(ServerHooks, name)
            for name in _HOOKS_OF_A_TASK
        )

    @property
    def _calls_handler(self) -> bool:
        """Whether `finish_request` is the one below."""
        return getattr(self.finish_request, "__func__", None) is DatagramServer.finish_request

    def finish_request(self, request: Datagram, client_address: Any) -> Awaitable[object]:
        """Call the handler, ``self.RequestHandlerClass(request, client_address, self)``. To be awaited."""
        if self._in_place is None:
            return super().finish_request(request, client_address)
        self._in_place(request, client_address, self)
        return DONE

    @property
    def serves_in_place(self) -> bool:
        """Whether handlers are called in place, without a task; see the class."""
        if not (self._only_finishes and self._calls_handler):
            return False
        self._serving_in_place = self._in_place
        return self._in_place is not None

    def handle_in_place(self, request: Datagram, client_address: Any) -> None:
        """Call the handler at once."""
        assert self._serving_in_place is not None
        self._serving_in_place(request, client_address, self)
