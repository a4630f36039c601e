"""Buffered reading: a handler's ``self.rfile``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from .._vocabulary.errors import ConfigError, IncompleteRead, LimitExceeded
from .._vocabulary.options import check_count
from .stream import OPERATIONS_PER_CHECKPOINT, RECEIVE_BYTES

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .stream import RequestStream

DEFAULT_MAX_LINE_BYTES: Final = 65536
"""64 KiB, as asyncio's streams and ``http.server``."""

# What a read through a separator does when the stream ends before it.
_PARTIAL: Final = 0  # return what there is
_INCOMPLETE: Final = 1  # raise IncompleteRead
_STOP: Final = 2  # end an iteration


class StreamReader:
    """Reads lines, records and blocks from a `RequestStream`, whose input buffer it shares.

    Iterating yields lines, until the client closes; where a drain shall end it, too, loop on
    `wait_request`. Every method either takes what it returns out of the buffer or raises
    and takes nothing (but see `IncompleteRead`), and a cancellation never loses a byte.

    A peer can not make it buffer more than a limit (P9): ``max_line_bytes``, or the one given to a call.

    Args:
      stream: Where to read from; the reader does not own it.
      max_line_bytes: The longest line, its newline included; 64 KiB by default.
      receive_bytes: How much one receive asks for; -1, the default, is 64 KiB.

    Raises (all methods):
      trio.BrokenResourceError: The connection was reset.
      trio.ClosedResourceError: Your code closed the stream.
      trio.BusyResourceError: Another task is reading.
      StreamTimeout: Nothing came within the stream's ``timeout``.
    """

    __slots__ = ("_receive_bytes", "_stream", "max_line_bytes")

    def __init__(
        self,
        stream: RequestStream,
        *,
        max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
        receive_bytes: int = -1,
    ) -> None:
        if max_line_bytes != DEFAULT_MAX_LINE_BYTES or receive_bytes != -1:
            check_count("max_line_bytes", max_line_bytes)
            check_count("receive_bytes", receive_bytes, least=-1)
        self._stream = stream
        self._receive_bytes = RECEIVE_BYTES if receive_bytes == -1 else max(1, receive_bytes)
        self.max_line_bytes: int = max_line_bytes

    def readline(self, limit: int | None = None) -> Coroutine[Any, Any, bytes]:
        r"""Read up to and including ``b"\n"``; to be awaited.

        Args:
          limit: The longest line, in bytes; by default ``max_line_bytes``.

        Returns:
          The line, without its newline if the stream ended there, or ``b""`` at the end of the stream.

        Raises:
          LimitExceeded: No newline came within the limit. The bytes can still be read, with `read1` say.
        """
        if limit is None and self._stream.buffer.size:
            return self._next_line(_PARTIAL)
        return self._read_through(b"\n", limit, _PARTIAL)

    def readuntil(self, separator: bytes = b"\n", limit: int | None = None) -> Coroutine[Any, Any, bytes]:
        """Read up to and including ``separator``; to be awaited.

        Args:
          separator: At least one byte.
          limit: The most bytes, the separator included; by default ``max_line_bytes``.

        Raises:
          IncompleteRead: The stream ended first; the error has what came.
          LimitExceeded: No separator came within the limit; the bytes can still be read.
        """
        if not separator:
            raise ValueError("separator must be at least one byte")
        return self._read_through(separator, limit, _INCOMPLETE)

    # As the next one: Ctrl-C must not take a line that nobody gets.
    @trio.lowlevel.enable_ki_protection
    async def _next_line(self, at_end: int) -> bytes:
        """As `_read_through`, where a line may be there already: mostly from a client that pipelines."""
        stream = self._stream
        if stream.budget > 0 and (line := stream.buffer.take_line(self.max_line_bytes)):
            stream.budget -= 1
            return line
        return await self._read_through(b"\n", None, at_end)

    # Without Ctrl-C, as `RequestStream.wait_input` wants it.
    @trio.lowlevel.enable_ki_protection
    async def _read_through(self, separator: bytes, limit: int | None, at_end: int) -> bytes:
        """Read up to and including ``separator``; ``at_end`` says what to do when the stream ends first."""
        if limit is None:
            limit = self.max_line_bytes
        elif limit < 1:  # a receive of no bytes would look like the end of the stream
            raise ConfigError(f"limit must be at least 1, not {limit!r}")
        stream = self._stream
        buffer = stream.buffer
        skip = 0
        if buffer.size:
            stream.budget -= 1
            if stream.budget < 0:
                stream.budget = OPERATIONS_PER_CHECKPOINT
                await trio.lowlevel.checkpoint()  # P10, and before anything is taken
        data: bytes | None
        while True:
            if buffer.size:
                if (data := buffer.take_until(separator, limit, skip)) is not None:
                    return data
                if buffer.size >= limit:
                    raise LimitExceeded(f"no {separator!r} in the first {limit} bytes", limit=limit)  # P9
                skip = max(0, buffer.size - len(separator) + 1)
            most = self._receive_bytes if limit - buffer.size >= self._receive_bytes else limit - buffer.size
            if stream.outbox is not None and stream.outbox.size:
                if not await stream.fill(most):
                    break
                continue
            # `fill`, without its coroutine and, for a line that comes by itself, without the buffer: this is
            # the path of every request, and each local variable is eight bytes for each idle connection.
            data = None
            while stream.drained or (data := stream.receive_now(most)) is None:
                try:
                    if await stream.wait_input(most) is not None:
                        break
                except trio.ClosedResourceError:  # or interrupted: look again
                    if stream.closed:
                        raise
            if data:
                if not buffer.size and data.find(separator) == len(data) - len(separator) >= 0:
                    return data
                buffer.append(data)
            elif stream.end_of_stream:
                break
        data = buffer.take(buffer.size)
        if at_end == _INCOMPLETE:
            raise IncompleteRead(data, None)
        if at_end == _STOP and not data:
            raise StopAsyncIteration
        return data

    async def readexactly(self, count: int) -> bytes:
        """Read ``count`` bytes, neither more nor fewer.

        Raises:
          IncompleteRead: The stream ended first; the error has what came.
        """
        check_count("count", count, least=0)
        data = await self.read(count)
        if len(data) < count:
            raise IncompleteRead(data, count)
        return data

    async def read(self, count: int = -1, *, limit: int | None = None) -> bytes:
        """Read ``count`` bytes, fewer only at the end of the stream; as ``rfile.read`` in the stdlib.

        Args:
          count: How many. Negative: all up to the end of the stream.
          limit: With a negative ``count`` the most that this may be, in bytes; ``max_line_bytes`` by default,
            since a peer that never stops sending must not fill the memory.

        Raises:
          LimitExceeded: The stream goes on after ``limit`` bytes; they can still be read.
        """
        stream = self._stream
        buffer = stream.buffer
        if buffer.size:
            await stream.spend()
        if count >= 0:
            while buffer.size < count:
                if not await stream.fill(min(self._receive_bytes, count - buffer.size)):
                    break
            return buffer.take(count)
        limit = self.max_line_bytes if limit is None else limit
        while buffer.size <= limit:
            if not await stream.fill(min(self._receive_bytes, limit + 1 - buffer.size)):
                return buffer.take(buffer.size)
        raise LimitExceeded(f"the stream goes on after {limit} bytes", limit=limit)

    @trio.lowlevel.enable_ki_protection  # as `_next_line`
    async def read1(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """Read what there is, waiting only if that is nothing; as ``io.BufferedIOBase.read1``.

        Returns:
          At least one byte and at most ``max_bytes``, or ``b""`` at the end of the stream.
        """
        check_count("max_bytes", max_bytes)
        stream = self._stream
        buffer = stream.buffer
        if buffer.size:
            await stream.spend()
        if not buffer.size:
            return await stream.receive_unbuffered(max_bytes)
        return buffer.take(max_bytes)

    def __aiter__(self) -> StreamReader:
        return self

    def __anext__(self) -> Coroutine[Any, Any, bytes]:
        if self._stream.buffer.size:
            return self._next_line(_STOP)
        return self._read_through(b"\n", None, _STOP)
