"""`connect`: a stream straight into a handler, for the simplest tests."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import trio

from trioserver import ConfigError, RequestEnded, StreamServer

from ._handler_errors import HandlerErrors
from ._memory import MemoryListener
from ._memory_stream import MemoryStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trioserver import ServerEvent

_ADDRESSES: Final[dict[int, Any]] = {
    socket.AF_INET: ("127.0.0.1", 49152),
    socket.AF_INET6: ("::1", 49152, 0, 0),
}

_opening: ContextVar[_Opening | None] = ContextVar("trioserver.testing.connect", default=None)


@asynccontextmanager
async def connect(
    server: StreamServer, *, client_address: Any = None, grace_period: float | None = 1.0
) -> AsyncIterator[MemoryStream]:
    """Serve one connection in memory: no socket, no port, no file, no network, no other clock.

    ::

        async with connect(trioserver.TCPServer(("127.0.0.1", 0), Echo)) as stream:
            await stream.send_all(b"hello\\n")
            assert await stream.receive_some() == b"hello\\n"

    The server is a real one, with all of its hooks and options, and serves for the length of the block;
    nothing but its listening socket is another one. Names in its address are not looked up.

    At the end of the block the connection is closed, the handler has ``grace_period`` seconds to come to its
    end, and the server is stopped.

    Args:
      server: A stream server of any kind that is neither open nor being served, made without ``sock``; it may
        be served again afterwards.
      client_address: What the handler and ``verify_request`` are told that the client's address is; by
        default one on loopback, or ``""`` for Unix sockets.
      grace_period: Seconds of trio's clock that the handler may still take once the connection is closed; 1,
        as most have nothing left to do. ``0`` cancels it at once, ``None`` is no bound.

    Raises:
      Exception: What the handler raised, as it is, when the block has ended: until then the block sees what
        a client sees. If the block raised, too, or was cancelled, because of that perhaps, this is the
        context. `handle_error` is called as ever. What is the client's doing, see
        ``trioserver.is_peers_doing``, is not raised: here the client is the test.
      BaseException: What stopped the server: it cancels the block.
      ConfigError: The server can not be served like this.
      AlreadyServing, ServerClosed: It is being served, or was closed.

    Cancellation: of the block cancels the handler, whose ``finish`` runs as ever; nothing is left behind.
    """
    if not isinstance(server, StreamServer):
        raise ConfigError(
            f"connect() is for stream servers, not for {type(server).__name__}: serve that on a Network"
        )
    ended = trio.Event()

    def note_end(event: ServerEvent) -> None:
        if isinstance(event, RequestEnded):
            ended.set()

    opening = _Opening()
    opening.install()
    errors = HandlerErrors(server)
    server.add_observer(note_end)
    try:
        async with server.running():
            opening.remove()
            stream = MemoryStream(_put(server, opening, client_address))
            try:
                yield stream
            finally:
                await stream.aclose()
            with trio.CancelScope() as scope:
                if grace_period is not None:
                    scope.deadline = trio.current_time() + grace_period
                await ended.wait()
    except (Exception, trio.Cancelled) as error:  # a test that was cut off may have waited because of it
        failure = errors.failure()
        if failure is None or failure is error:
            raise
        raise failure  # noqa: B904  the other one is the context
    finally:
        opening.remove()
        server.remove_observer(note_end)
        errors.close()
    if (failure := errors.failure()) is not None:
        raise failure


def _put(server: StreamServer, opening: _Opening, client_address: Any) -> Any:
    """Connect to the server; the client's end."""
    if not opening.made:
        raise ConfigError(
            f"connect() serves {type(server).__name__} in memory: it must be neither open nor given a sock"
        )
    listener = opening.made[0]
    return listener.put(_ADDRESSES.get(listener.family, "") if client_address is None else client_address)


class _Opening(trio.abc.SocketFactory, trio.abc.HostnameResolver):
    """What trio's socket module asks while the server opens: the server for itself, others as ever."""

    def __init__(self) -> None:
        self.made: list[MemoryListener] = []
        self._before: tuple[trio.abc.SocketFactory | None, trio.abc.HostnameResolver | None] | None = None

    def install(self) -> None:
        self._token = _opening.set(self)
        self._before = (
            trio.socket.set_custom_socket_factory(self),
            trio.socket.set_custom_hostname_resolver(self),
        )

    def remove(self) -> None:
        if self._before is not None:
            trio.socket.set_custom_socket_factory(self._before[0])
            trio.socket.set_custom_hostname_resolver(self._before[1])
            self._before = None
            _opening.reset(self._token)

    def socket(self, family: Any = socket.AF_INET, type: Any = socket.SOCK_STREAM, proto: Any = 0) -> Any:
        if _opening.get() is self:
            self.made.append(MemoryListener(family))
            return self.made[-1]
        assert self._before is not None
        if self._before[0] is not None:
            return self._before[0].socket(family, type, proto)
        return trio.socket.from_stdlib_socket(socket.socket(family, type, proto))

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        assert self._before is not None
        if _opening.get() is self:
            await trio.lowlevel.checkpoint()
            address = ("::1", port, 0, 0) if family == socket.AF_INET6 else ("127.0.0.1", port)
            return [(family or socket.AF_INET, type, socket.IPPROTO_TCP, "", address)]
        if self._before[1] is not None:
            return await self._before[1].getaddrinfo(host, port, family, type, proto, flags)
        return await trio.to_thread.run_sync(socket.getaddrinfo, host, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        assert self._before is not None
        if self._before[1] is not None:
            return await self._before[1].getnameinfo(sockaddr, flags)
        return await trio.to_thread.run_sync(socket.getnameinfo, sockaddr, flags)
