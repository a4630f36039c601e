"""`UDPSessionServer`: a task for each peer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import trio

from .._transports.datagram_session import DatagramSession
from .._vocabulary.options import check_count, check_seconds
from .session_table import SessionTable
from .udp import UDPServerOptions, UDPSockets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from typing_extensions import Unpack

    from .._transports.adopt import Adoptable
    from .._transports.datagram_socket import Datagram

DATAGRAM_BATCH: Final = 64
"""Datagrams that are read without a checkpoint (P10): as many as the engine accepts requests."""

_TURNS: Final = 8
"""Turns that a session has to make room, when its queue has become full: as many as it takes to read half of
64, eight a turn, and no more, since it may not be reading at all."""


class UDPSessionServerOptions(UDPServerOptions, total=False):
    """The options of `UDPSessionServer` that may be given as keywords."""

    session_timeout: float | None
    max_queued_datagrams: int


class UDPSessionServer(UDPSockets[DatagramSession]):
    """A UDP server with a task for each peer: a request is all that comes from one address.

    ::

        async def count(session, client_address, server):
            n = 0
            async for data in session:
                n += len(data)
                await session.send(b"%d bytes so far" % n)

        async with trioserver.UDPSessionServer(("127.0.0.1", 0), count).running() as server:
            print(server.server_address)

    A peer's first datagram begins its session, and the later ones go to its queue. The session ends when
    its handler returns; the peer's next datagram begins another one, and so do those that were still in the
    queue, unless the session was cancelled. ``async for`` ends when the peer has said nothing for
    ``session_timeout`` seconds, and when the server drains.

    The sender's address is whatever the datagram says: where it matters, let the peer prove that it gets
    replies before much is sent to it, as QUIC and CoAP do (RFC 9000, 8.1; RFC 9175).

    Args:
      server_address: ``(host, port)``, as for `TCPServer`.
      RequestHandlerClass: See `BaseServer`; the request it gets is a `DatagramSession`.
      bind_and_activate: See `BaseServer`.
      sock: See `DatagramServer`.
      options: Values for the class variables below, those of `UDPServer` and those of `BaseServer`.

    Options, on the class, the instance, or as keywords, beside those of `UDPServer`:
      session_timeout: Seconds since the peer's last datagram after which its session ends; 60.
      max_queued_datagrams: How many of a session's datagrams may wait to be read; 64.
      max_requests: How many sessions may exist at once; None, the default, is no limit.

    At the limit datagrams of peers without a session are dropped and counted, since those of the others have
    to be read; see `datagrams_lost`.
    """

    session_timeout: float | None = 60.0
    """Seconds since the peer's last datagram after which its session ends; ``None`` is never.

    It ends where the handler waits for a datagram, or when it comes to wait; a handler that does something
    else is not disturbed. 60 seconds, as Envoy has it: less than the two minutes after which a NAT may give
    the peer's port to somebody else (RFC 4787, REQ-5), who would inherit the session.
    """

    max_queued_datagrams: int = DATAGRAM_BATCH
    """How many of a session's datagrams may wait to be read; a further one is dropped and counted.

    When it has become full its session gets a few turns before more is read: so no burst is dropped only
    because the handler had none. The default is 64. Bounded for P9: a peer sends as fast as it likes.
    """

    _option_types: ClassVar[type] = UDPSessionServerOptions
    _kind = "sessions"

    def __init__(
        self,
        server_address: tuple[str | None, int] | tuple[str | None, int, int, int] | None,
        RequestHandlerClass: Callable[[DatagramSession, Any, Any], Awaitable[object]],
        bind_and_activate: bool = True,
        *,
        sock: Adoptable | Iterable[Adoptable] | None = None,
        **options: Unpack[UDPSessionServerOptions],
    ) -> None:
        self._read_in_a_row = 0
        super().__init__(
            server_address,
            RequestHandlerClass,
            bind_and_activate,
            sock=sock,
            **options,  # type: ignore[misc]  # the base class looks the names up in _option_types
        )
        self._sessions = SessionTable(
            self,
            watch=self._engine.deadlines,
            losses=self._losses,
            on_left_over=self._interrupt_receive,
        )

    def _check_options(self) -> None:
        super()._check_options()
        check_seconds("session_timeout", self.session_timeout, none="no timeout")
        check_count("max_queued_datagrams", self.max_queued_datagrams)

    @property
    def request_limit(self) -> int | None:
        """None: at the limit of ``max_requests`` sessions reading goes on, for those that exist."""
        return None

    # Serving.

    def _begin_accept(self) -> None:
        self._sessions.begin()
        self._engine.start_helper(self._tell_of_drain)

    async def _tell_of_drain(self) -> None:
        await self.wait_draining()
        self._sessions.begin_drain()

    def _end_run(self) -> None:
        self._sessions.end()
        super()._end_run()

    async def get_request(self) -> tuple[DatagramSession, Any]:
        """Wait for the datagram that begins a session, and give the others to theirs.

        No checkpoint once the first one of a session is taken (P2).
        """
        sessions = self._sessions
        while True:
            datagram, client_address = await self._next_datagram()
            active = len(self._engine.requests)
            if len(sessions) > active:  # an overridden close_request has not ended them
                sessions.keep_only({id(record.request) for record in self._engine.requests})
            if sessions.deliver(datagram, client_address):
                continue
            if self.max_requests is None or active < self.max_requests:  # P6
                return sessions.new(datagram, client_address), client_address
            self._losses.refused_sessions += 1

    async def _wait_served(self) -> None:
        await self._engine.run_beside(self._pass_on, self._engine.wait_no_requests)

    async def _pass_on(self) -> None:
        """Give the session that ``handle_request()`` waits for its datagrams; there is no other one."""
        while True:
            if not self._sessions.deliver(*await self._next_datagram()):
                self._losses.refused_sessions += 1

    async def _next_datagram(self) -> tuple[Datagram, Any]:
        """Take the next datagram, with a checkpoint after every 64 that need no wait (P10)."""
        filled, self._sessions.filled = self._sessions.filled, None
        if filled is not None:  # its queue is full; the kernel's buffer may have room for a moment
            self._read_in_a_row = 0
            for _ in range(_TURNS):
                await trio.lowlevel.checkpoint()
                if filled.queued * 2 <= self.max_queued_datagrams or filled.closed:
                    break
        elif self._read_in_a_row >= DATAGRAM_BATCH:
            self._read_in_a_row = 0
            await trio.lowlevel.checkpoint()
        self._read_in_a_row += 1
        while True:
            if self._sessions.left_over:
                return self._sessions.left_over.popleft()
            try:
                return await self._receive()
            except trio.ClosedResourceError:
                continue  # a session has left something over

    async def shutdown_request(self, request: DatagramSession) -> None:
        """End a session whose handler has returned. What it has not read begins another one."""
        request.close(pass_on=True)
        await self.close_request(request)

    async def close_request(self, request: DatagramSession) -> None:
        """End the session at once. No checkpoint."""
        request.close()
