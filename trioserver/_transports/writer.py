"""Writing: a handler's ``self.wfile``."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import trio

from .._vocabulary.options import check_count
from .outbox import GATHER_BYTES, Outbox
from .stream import OPERATIONS_PER_CHECKPOINT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import ReadableBuffer

    from .stream import RequestStream


class StreamWriter:
    """Writes to a `RequestStream`, in order with what others write to it.

    When `write` returns, the operating system has all of it, and a peer that does not read makes it wait
    (P9: nothing piles up). There are two exceptions. While input is there that was not yet read, from a
    client that pipelines, replies are gathered for a moment: until the handler has used the input up or
    waits, for whatever it may be. And with ``buffer_bytes`` writes are gathered until there is that much,
    until `flush` is called, or until the handler waits for input; a handler's ``finish`` flushes.

    Args:
      stream: Where to write to; the writer does not own it.
      buffer_bytes: How much may be gathered; ``0``, the default, gathers nothing by itself.

    Raises (all methods):
      trio.BrokenResourceError: The peer is gone; for what was gathered, one call later.
      trio.ClosedResourceError: Your code closed the stream.
      trio.BusyResourceError: Another task is in the middle of writing. What is gathered, and so counts as
        written, follows it; it is not to be written again.
      StreamTimeout: The peer took nothing within the stream's ``timeout``.

    Cancellation: a part may have been sent.
    """

    __slots__ = ("_buffer_bytes", "_stream")

    def __init__(self, stream: RequestStream, *, buffer_bytes: int = 0) -> None:
        if buffer_bytes != 0:
            check_count("buffer_bytes", buffer_bytes, least=0)
        self._stream = stream
        self._buffer_bytes = buffer_bytes

    @property
    def pending(self) -> int:
        """How many bytes are gathered and not yet sent."""
        outbox = self._stream.outbox
        return outbox.size if outbox is not None else 0

    async def write(self, data: ReadableBuffer) -> int:
        """Write all of ``data``, any bytes-like object.

        Returns:
          How many bytes that were, as ``wfile.write`` in the stdlib.
        """
        stream = self._stream
        outbox = stream.outbox
        if outbox is not None and outbox.size and type(data) is bytes:
            # One of the replies to a client that pipelines, and not the first: this is their path.
            size = len(data)
            if outbox.size + size <= outbox.room and stream.budget > 0:
                outbox.parts.append(data)
                outbox.size += size
                stream.budget -= 1
                if not stream.buffer.size and not self._buffer_bytes:
                    await outbox.flush()
                return size
        if not isinstance(data, bytes):
            data = _as_view(data)
        if self._buffer_bytes or stream.buffer.size or (outbox is not None and not outbox.empty):
            return await self._gather(data)
        sent = stream.try_send(data)
        if sent < len(data) or stream.unflushed:
            await stream.send_rest(memoryview(data)[sent:])
            return len(data)
        stream.budget -= 1
        if stream.budget < 0:
            stream.budget = OPERATIONS_PER_CHECKPOINT
            await trio.lowlevel.checkpoint()  # P10
        return len(data)

    async def _gather(self, data: bytes | memoryview) -> int:
        """Write where something is, or should be, gathered."""
        stream = self._stream
        if stream.closed:
            raise trio.ClosedResourceError("this stream was closed")
        if (outbox := stream.outbox) is None:
            outbox = stream.outbox = Outbox(stream, self._buffer_bytes or GATHER_BYTES)
        pipelined = stream.buffer.size > 0 and stream.flusher is not None
        first = not (outbox.size and outbox.room)  # nor need the flusher have what was put back
        outbox.add(bytes(data))
        outbox.room = self._buffer_bytes or GATHER_BYTES
        limit = self._buffer_bytes or (GATHER_BYTES if pipelined else 0)
        if outbox.size > limit:
            await outbox.flush()
        elif first and outbox.size and not self._buffer_bytes:
            assert stream.flusher is not None
            stream.flusher.add(outbox)
        await stream.spend()
        return len(data)

    async def writelines(self, lines: Iterable[ReadableBuffer]) -> None:
        """Write all of ``lines``, with one system call where they are small; adds no newlines."""
        await self.write(b"".join(lines))

    async def flush(self) -> None:
        """Send what was gathered. Where nothing is, this does nothing, and is no checkpoint."""
        if self._stream.outbox is not None:
            await self._stream.outbox.flush()


def _as_view(data: ReadableBuffer) -> memoryview:
    if inspect.iscoroutine(data):
        data.close()
        raise TypeError(
            f"write() takes bytes, and got the coroutine {data.__qualname__}: is an 'await' missing?"
        )
    return memoryview(data).cast("B")
