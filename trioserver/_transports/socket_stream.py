"""`RequestStream` on an endpoint: a connection of a server, as handlers have it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import trio

from .._vocabulary.errors import HandshakeError, StreamTimeout
from .._vocabulary.reports import Timeout
from .closing import discard_input
from .socket_transfer import READ, WRITE, SocketTransfer
from .stream import HANDSHAKE_TIMEOUT
from .tls_context import check_ssl_context

if TYPE_CHECKING:
    import ssl

    from .tls import TLSEndpoint

_NEVER: Final = float("inf")

_NO_MORE = contextlib.suppress(
    trio.BrokenResourceError, trio.BusyResourceError, trio.ClosedResourceError, StreamTimeout
)
"""Around the last sends before a stream is closed: whatever keeps them from it, closed it will be."""


class SocketStream(SocketTransfer):
    """A connected stream socket: how it becomes a TLS connection, and how it is closed."""

    __slots__ = ()

    # TLS.

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """OpenSSL's side of a TLS connection, ``None`` on a plain one."""
        return None if self._tls is None else self._tls.ssl_object

    async def starttls(
        self,
        ssl_context: ssl.SSLContext,
        *,
        timeout: float | None = HANDSHAKE_TIMEOUT,
        suppress_ragged_eofs: bool = True,
    ) -> None:
        """Make this connection a TLS connection, in place, as its server side."""
        from .tls import TLSEndpoint, wrap_server

        if self._tls is not None:
            raise RuntimeError("this is a TLS connection already")
        check_ssl_context("ssl_context", ssl_context)
        if timeout is not None:
            self._check_timeout(timeout)
        await self._begin_send()
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        if self.buffer.size:
            self.close()  # or a handler that goes on would take them for the client's
            raise HandshakeError(f"{self.buffer.size} bytes of plain text came before the TLS handshake")
        wrap = wrap_server(ssl_context)
        tls = TLSEndpoint(self._endpoint, wrap, suppress_ragged_eofs=suppress_ragged_eofs)
        self._go_over_to(tls)
        await self._shake_hands(tls, timeout)

    def _go_over_to(self, tls: TLSEndpoint) -> None:
        self._endpoint = self._tls = tls
        self._kernel_socket = None
        self.drained = False

    async def _shake_hands(self, tls: TLSEndpoint, timeout: float | None) -> None:
        import ssl

        from .tls import describe

        # One deadline for all of it: a client that sends a byte now and then must not put it off.
        deadline = _NEVER if timeout is None else trio.current_time() + timeout
        self._sending = True
        completed = False
        try:
            await trio.lowlevel.checkpoint()  # P10: what comes now is a millisecond of arithmetic
            while (wait := tls.handshake()) is not None:
                if trio.current_time() >= deadline:
                    self.note_timeout(Timeout.HANDSHAKE)
                    assert timeout is not None
                    raise StreamTimeout(timeout)
                direction = READ if wait == tls.inner.wait_readable else WRITE
                await self._wait(wait, direction, timeout, deadline, Timeout.HANDSHAKE)
            completed = True
        except StreamTimeout as error:
            raise HandshakeError(f"the TLS handshake took longer than {timeout:g} s") from error
        except OSError as error:
            if self._closed:
                raise self._translate(error) from error
            completed = True  # as far as it goes: the peer is to get the alert
            raise HandshakeError(f"the TLS handshake failed: {describe(error)}") from (
                # In no variable: its traceback has this frame, and that would be a cycle (P9).
                error if isinstance(error, ssl.SSLError) else self._translate(error)
            )
        finally:
            self._end_sender()
            if not completed:
                self.close()

    # Closing.

    # Ctrl-C must not strike between noting that the stream is closed and closing its socket (P1).
    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """Close at once and without waiting."""
        if not self._closed:
            if self.outbox is not None:
                self.outbox.close()
                self.outbox = None  # which has this stream: a cycle (P9)
            self._closed = True
            self._endpoint.close()
            if self.watched_until < _NEVER and self._watch is not None:
                self._watch.discard(self)

    async def aclose(self) -> None:
        """Close, after what was gathered is sent; the kernel still sends what it has. Always a checkpoint.

        Over TLS a ``close_notify`` goes out first; the peer's is not waited for. Cancelled, it closes at
        once.
        """
        try:
            if not self._closed:
                with _NO_MORE:
                    if self.outbox is not None:
                        await self.outbox.flush()
                    await self._send_end()
        finally:
            self.close()
        await trio.lowlevel.checkpoint()

    async def _send_end(self) -> None:
        """Over TLS, send the end of the stream; a peer that is gone does not need it."""
        tls = self._tls
        if tls is not None and tls.established and not self._closed and self._peer_error is None:
            with _NO_MORE:
                await self._end_sending()

    @property
    def may_be_closed(self) -> bool:
        """Whether the peer gets all that was sent though the stream is closed at once."""
        outbox = self.outbox
        if self._closed or self._peer_error is not None:
            return True
        return self.end_of_stream and self._tls is None and (outbox is None or outbox.empty)

    async def close_gracefully(self, *, timeout: float, max_bytes: int) -> None:
        """Close so that the peer gets all that was sent."""
        try:
            # What the handler or its `finish` was told of is not told again.
            outbox = None if self.outbox is None or self.outbox.told else self.outbox
            gathered = outbox is not None and not outbox.empty
            if (gathered or self._tls is not None) and not self._closed:
                deadline = trio.current_time() + timeout
                with trio.move_on_at(deadline), _NO_MORE:
                    if outbox is not None:
                        await outbox.flush()
                    await self._send_end()
                timeout = max(0.0, deadline - trio.current_time())
            if not self._closed and not self.end_of_stream and self._peer_error is None:
                endpoint = self._endpoint
                if self._tls is not None and not self._tls.established:
                    endpoint = self._tls.inner  # an alert has to get through, whatever the peer sends
                await discard_input(endpoint, timeout=timeout, max_bytes=max_bytes)
        finally:
            self.close()
