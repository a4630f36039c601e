"""The client's end of a connection in memory."""

from __future__ import annotations

import operator
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from ._memory import BUFFER_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import ReadableBuffer

    from ._memory import MemoryEndpoint


class MemoryStream(trio.abc.HalfCloseableStream):
    """The client's end of a connection that `connect` has made; a stream as any other of trio's.

    As a pair of Unix sockets: what is sent has arrived, until 64 KiB were not read; closing with unread
    input resets the connection.

    Raises (all methods):
      trio.BrokenResourceError: The server has closed or reset the connection.
      trio.ClosedResourceError: You have closed it.
      trio.BusyResourceError: Another task is doing the same.

    Cancellation: of `send_all`, a part may have been sent; of the others nothing is lost.
    """

    def __init__(self, endpoint: MemoryEndpoint) -> None:
        self._endpoint = endpoint
        self._eof_sent = False
        self._sending = False

    async def send_all(self, data: ReadableBuffer) -> None:
        """Send all of ``data``, waiting while the server does not read."""
        with self._send_alone():
            self._check_not_ended()
            await trio.lowlevel.checkpoint()
            rest = memoryview(data).cast("B")
            while rest:
                try:
                    rest = rest[self._endpoint.send_nowait(rest) :]
                except BlockingIOError:
                    await self._endpoint.wait_writable()
                except OSError as error:
                    raise self._translated(error) from error

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room to send."""
        with self._send_alone():
            self._check_not_ended()
            await self._endpoint.wait_writable()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive at most ``max_bytes`` bytes, 64 KiB by default; ``b""`` is the end of the stream."""
        max_bytes = BUFFER_BYTES if max_bytes is None else operator.index(max_bytes)
        if max_bytes < 1:
            raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        await trio.lowlevel.checkpoint()
        while True:
            try:
                return self._endpoint.recv_nowait(max_bytes)
            except BlockingIOError:
                await self._endpoint.wait_readable()
            except OSError as error:
                raise self._translated(error) from error

    async def send_eof(self) -> None:
        """Close the sending half: the server's reads end."""
        with self._send_alone():
            if not self._eof_sent:
                self._eof_sent = True
                self._endpoint.shutdown(socket.SHUT_WR)
            await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Reset the connection, and close it: the server gets ``ECONNRESET``."""
        self._endpoint.abort()

    async def aclose(self) -> None:
        """Close both halves."""
        self._endpoint.close()
        await trio.lowlevel.checkpoint()

    @contextmanager
    def _send_alone(self) -> Iterator[None]:
        """Let one task at a time send."""
        if self._endpoint.closed:
            raise trio.ClosedResourceError("this stream was closed")
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        self._sending = True
        try:
            yield
        finally:
            self._sending = False

    def _check_not_ended(self) -> None:
        if self._eof_sent:
            raise trio.ClosedResourceError("the sending half of this stream was closed by send_eof()")

    def _translated(self, error: OSError) -> Exception:
        if self._endpoint.closed:
            return trio.ClosedResourceError("this stream was closed")
        return trio.BrokenResourceError(f"the server has closed the connection: {error}")
