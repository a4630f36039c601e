"""Writing: a handler's ``self.wfile``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from .._vocabulary.options import check_count

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import ReadableBuffer

    from .stream import RequestStream


class StreamWriter:
    """Writes to a `RequestStream`.

    By default, as in the stdlib, there is no buffer: when `write` returns, the operating system has all of
    it, and a peer that does not read makes it wait (P9: nothing piles up). With ``buffer_bytes`` small
    writes are gathered until there is that much, or `flush` is called; a handler's ``finish`` flushes.

    Args:
      stream: Where to write to; the writer does not own it.
      buffer_bytes: How much may be gathered; ``0``, the default, gathers nothing.

    Raises (all methods):
      trio.BrokenResourceError: The peer is gone.
      trio.ClosedResourceError: Your code closed the stream.
      trio.BusyResourceError: Another task is in the middle of writing.
      StreamTimeout: The peer took nothing within the stream's ``timeout``.

    Cancellation: a part may have been sent; of what was gathered and not sent nothing is kept.
    """

    __slots__ = ("_buffer_bytes", "_flushing", "_gathered", "_size", "_stream")

    def __init__(self, stream: RequestStream, *, buffer_bytes: int = 0) -> None:
        check_count("buffer_bytes", buffer_bytes, least=0)
        self._stream = stream
        self._buffer_bytes = buffer_bytes
        self._gathered: list[bytes] = []
        self._size = 0
        self._flushing = False

    @property
    def pending(self) -> int:
        """How many bytes are gathered and not yet sent."""
        return self._size

    async def write(self, data: ReadableBuffer) -> int:
        """Write all of ``data``, any bytes-like object.

        Returns:
          How many bytes that were, as ``wfile.write`` in the stdlib.
        """
        if not self._buffer_bytes:
            await self._stream.send_within_budget(data)
            return len(data) if isinstance(data, bytes) else memoryview(data).nbytes
        if self._stream.closed:
            raise trio.ClosedResourceError("this stream was closed")
        copy = bytes(data)
        self._gathered.append(copy)
        self._size += len(copy)
        if self._size > self._buffer_bytes:
            await self.flush()
        else:
            await self._stream.spend()
        return len(copy)

    async def writelines(self, lines: Iterable[ReadableBuffer]) -> None:
        """Write all of ``lines``, with one system call where they are small; adds no newlines."""
        await self.write(b"".join(lines))

    async def flush(self) -> None:
        """Send what was gathered. Without a buffer this does nothing, and is no checkpoint."""
        if self._flushing:
            raise trio.BusyResourceError("another task is flushing this stream")
        while self._gathered:
            data = b"".join(self._gathered)
            self._gathered.clear()
            self._size = 0
            self._flushing = True
            try:
                await self._stream.send_within_budget(data)
            finally:
                self._flushing = False
