"""Output that is gathered before it is sent: many small replies, one system call.

A client that pipelines sends its next requests before it has read a reply. While there is unread input,
replies are gathered, and go out together when the input is used up, before the handler waits for more,
at 64 KiB, and in any case at the next turn of the scheduler: a `Flusher` task is woken by the first
reply, so that a handler which waits for something else does not hold its replies back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer

GATHER_BYTES: Final = 65536
"""How much is gathered at most (P9)."""


class Sender(Protocol):
    """What an outbox needs of its stream."""

    bytes_sent: int
    unflushed: bool
    """Whether bytes that count as sent still wait for room."""

    @property
    def closed(self) -> bool:
        """Whether it was closed on this side."""
        ...

    def try_send(self, data: ReadableBuffer) -> int:
        """Send what fits now; returns how many bytes that were."""
        ...

    async def send_rest(self, rest: memoryview) -> None:
        """Send all of ``rest``, waiting for the peer to make room."""

    def send_later(self) -> None:
        """Have sent what was put back, in case that the handler neither writes nor reads any more."""


class Outbox:
    """The gathered output of one stream."""

    __slots__ = ("_error", "_flushed", "_stream", "parts", "room", "size", "told")

    def __init__(self, stream: Sender, room: int = GATHER_BYTES) -> None:
        self._stream = stream
        self.parts: list[bytes] = []
        self.room: int = room
        """Bytes that may be in ``parts`` before more is to be done than to append.

        0 when it is over, and when something was put back: that the flusher sends, as soon as nobody else
        does.
        """
        self._flushed: trio.Event | None = None
        self._error: Exception | None = None
        self.told: bool = False
        """Whether something went wrong, and whoever wrote was told."""
        self.size: int = 0

    @property
    def empty(self) -> bool:
        """Whether a write need take no notice of this outbox."""
        return not self.size and self._flushed is None and self._error is None

    def _check(self) -> None:
        if self._error is not None:
            self.told = True
            raise self._error

    def add(self, data: bytes) -> None:
        """Gather one more piece. Raises what went wrong when earlier ones were sent."""
        self._check()
        self.parts.append(data)
        self.size += len(data)

    def _take(self) -> bytes:
        data = b"".join(self.parts)
        self.parts.clear()
        self.size = 0
        return data

    async def flush(self) -> None:
        """Send everything, in order. A checkpoint only if it waits."""
        while self._flushed is not None:
            await self._flushed.wait()
            if self._stream.closed:
                raise trio.ClosedResourceError("this stream was closed")
        self._check()
        if self.size or self._stream.unflushed:
            data = self._take()
            try:
                sent = self._stream.try_send(data)
            except trio.BusyResourceError:
                self._put_back(data)
                raise
            if sent < len(data) or self._stream.unflushed:
                await self._send_rest(memoryview(data)[sent:])

    async def _send_rest(self, rest: memoryview) -> None:
        """Send all of ``rest``; cancelled, what is left is gathered again: its writes have returned.

        After any other failure nothing more is sent: it would follow upon a hole.
        """
        before = self._stream.bytes_sent
        try:
            await self._stream.send_rest(rest)
        except trio.Cancelled:
            self._put_back(bytes(rest[self._stream.bytes_sent - before :]))
            self._stream.send_later()
            raise
        except (trio.BrokenResourceError, trio.ClosedResourceError, TimeoutError) as error:
            self._fail(error)
            self.told = True
            raise

    def _fail(self, error: Exception) -> None:
        self._error = error
        self.room = 0

    def _put_back(self, data: bytes) -> None:
        self.parts.insert(0, data)
        self.size += len(data)
        self.room = 0

    def flush_now(self) -> memoryview | None:
        """Send what fits; the rest is returned, and is the caller's to send with `flush_rest`."""
        if not self.size and not self._stream.unflushed:
            return None
        if self._flushed is not None or self._error is not None or self._stream.closed:
            return None
        data = self._take()
        try:
            sent = self._stream.try_send(data)
        except trio.BusyResourceError:
            self._put_back(data)  # another task sends, and what it sends goes first; its end adds this again
            return None
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._fail(error.with_traceback(None))
            return None
        if sent == len(data) and not self._stream.unflushed:
            return None
        self._flushed = trio.Event()
        return memoryview(data)[sent:]

    def close(self) -> None:
        """Send what fits: the writes have returned. What does not fit is lost, and nobody waits for it."""
        if self.flush_now() is not None:
            self._end_flush()
        self.room = 0
        self._error = None  # its traceback has frames that have this outbox: a cycle (P9)

    def _end_flush(self) -> None:
        assert self._flushed is not None
        self._flushed.set()
        self._flushed = None

    async def flush_rest(self, rest: memoryview) -> None:
        """Send what did not fit, and what is gathered meanwhile; errors go to the handler's next write."""
        try:
            await self._send_rest(rest)
            while self.size:
                await self._send_rest(memoryview(self._take()))
        except (trio.BrokenResourceError, trio.ClosedResourceError, TimeoutError) as error:
            self.told = False  # `_send_rest` has kept it for the handler
            error.with_traceback(None)
        finally:
            self._end_flush()


class Flusher:
    """The task of a server that sends what its streams have gathered, one turn later.

    Args:
      start: Starts an async function as a task, which runs as long as there may be streams.
    """

    __slots__ = ("_dirty", "_running", "_start", "_wake")

    def __init__(self, start: Callable[..., object]) -> None:
        self._start = start
        self._wake = trio.lowlevel.ParkingLot()
        self._dirty: list[Outbox] = []
        self._running = False

    def stop(self) -> None:
        """Forget everything: the task has ended."""
        self._running = False
        self._dirty.clear()

    def add(self, outbox: Outbox) -> None:
        """Flush ``outbox`` soon: it has something, and had nothing before, or it was put back."""
        self._dirty.append(outbox)
        if not self._running:
            self._running = True
            self._start(self._run)
        elif self._wake:
            self._wake.unpark()

    def flush(self, outbox: Outbox) -> None:
        """Send what ``outbox`` has: what fits at once, the rest in a task."""
        rest = outbox.flush_now()
        if rest is not None:
            self._start(outbox.flush_rest, rest)

    def _flush_all(self) -> None:
        dirty, self._dirty = self._dirty, []
        for outbox in dirty:
            if outbox.size or not outbox.room:  # mostly the handler has sent it by now
                self.flush(outbox)

    async def _run(self) -> None:
        while True:
            self._flush_all()  # which keeps none of them in its variables while this waits (P9)
            if not self._dirty:
                await self._wake.park()
