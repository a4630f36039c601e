"""The socket of a connection that is served in place: what is known of it, and how it is closed."""

from __future__ import annotations

import errno
import math
import socket
from typing import Any

import trio

from .._vocabulary.errors import StreamTimeout
from .._vocabulary.reports import Timeout
from .callback_link import CallbackLink
from .closing import discard_input
from .endpoint import KernelEndpoint
from .served_stream import ServedStream
from .stream import RECEIVE_BYTES


class CallbackSocket(CallbackLink, ServedStream):
    """A connected socket of the kernel's, and the end of its connection. Abstract: see `CallbackStream`."""

    __slots__ = ("_lingering", "_socket", "_timeout")

    _socket: socket.socket
    _timeout: float | None
    _lingering: bool  # whether a task may be waiting for the socket

    def _flush(self) -> None:
        """Send of what is unsent as much as there is room for."""
        raise NotImplementedError

    # What is known.

    @property
    def socket(self) -> Any:
        """The socket underneath, for its options and addresses; sending or receiving on it is an error."""
        return self._socket

    def _broken(self) -> Exception:
        error = self._peer_error
        if error is None or error.errno == errno.EBADF:  # or the socket itself was closed, by the handler
            return trio.ClosedResourceError("this connection was closed")
        broken = trio.BrokenResourceError(f"the peer is gone: {error}")
        broken.__cause__ = error
        return broken

    # The end.

    def close_now(self) -> bool:
        """Close if that loses nothing of what was sent; false where one has to wait for the peer."""
        if self.unsent:
            self._flush()
            if self.unsent:
                return False
        if not (self.end_of_stream or self._closed or self._peer_error is not None):
            sock = self._socket
            try:
                sock.shutdown(socket.SHUT_WR)
                if sock.recv(RECEIVE_BYTES):
                    return False
            except BlockingIOError:
                if KernelEndpoint(sock).unsent_bytes() != 0:
                    return False
            except OSError:
                pass  # the peer reset the connection: there is no end to deliver
        self.close()
        return True

    @property
    def may_be_closed(self) -> bool:
        """Whether the peer gets all that was written though the stream is closed at once."""
        return self._closed or self._peer_error is not None or (self.end_of_stream and not self.unsent)

    async def close_gracefully(self, *, timeout: float, max_bytes: int) -> None:
        """Close so that the peer gets all that was written."""
        try:
            if not self._closed and self._peer_error is None:
                endpoint = KernelEndpoint(self._socket)
                self._lingering = True
                await self._send_rest(endpoint)
                if not self.end_of_stream:
                    await discard_input(endpoint, timeout=timeout, max_bytes=max_bytes)
        finally:
            self.close()

    async def _send_rest(self, endpoint: KernelEndpoint) -> None:
        if self.unsent and Timeout.WAIT in self.timeouts:
            self._flush()  # a client that was waited for in vain is not waited for again: what fits
        while self.unsent and not self._closed and Timeout.WAIT not in self.timeouts:
            before = self.unsent
            self._flush()
            if self._peer_error is not None:
                raise self._broken() from self._peer_error
            if self.unsent == before:
                timeout = self._timeout
                with trio.move_on_after(math.inf if timeout is None else timeout) as scope:
                    try:
                        await endpoint.wait_writable()
                    except trio.ClosedResourceError:
                        return  # closed meanwhile: `close` has dropped what was unsent
                if scope.cancelled_caught:
                    assert timeout is not None
                    self.note_timeout(Timeout.WAIT)
                    raise StreamTimeout(timeout)
