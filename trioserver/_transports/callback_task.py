"""A connection whose handler is called by a task of its own, through any `RequestStream`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

from .._vocabulary.errors import ConfigError
from .._vocabulary.reports import Timeout
from .callback_link import LINK_SLOTS, CallbackLink
from .stream import RequestStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class CallbackTask(CallbackLink):
    """Serves a handler on a stream: reads where nothing is unsent, and sends where something is.

    Args:
      stream: The connection; it belongs to the request, as ever.
      wait_draining: Waits until the server drains.

    Raises:
      ConfigError: ``stream`` is none: the server's requests are not connections.
    """

    __slots__ = (
        *(name for name in LINK_SLOTS if name != "ending"),
        "_broken_off",
        "_ended",
        "_lost",
        "_receiving",
        "_sending",
        "_stream",
        "_unflushed",
        "_wait_draining",
        "_waiting",
    )

    def __init__(self, stream: RequestStream, wait_draining: Callable[[], Awaitable[None]]) -> None:
        if not isinstance(stream, RequestStream):
            raise ConfigError(f"a CallbackRequestHandler is for connections, and not for {stream!r}")
        self._stream = stream
        self._reset()
        self._wait_draining = wait_draining
        self._sending = False
        self._unflushed = False  # whether TLS has a part of what counts as sent
        self._broken_off = False  # whether a part of something was sent, and the rest will not be
        self._receiving = False  # whether it waits for input,
        self._waiting: trio.CancelScope | None = None  # or, of which there is no more, for the handler
        self._lost: Exception | None = None

    @property
    def ending(self) -> bool:
        """Whether the handler is done: it has said so, or has closed the stream."""
        return self._ended or self._stream.closed

    @ending.setter
    def ending(self, ending: bool) -> None:
        self._ended = ending

    async def serve(self) -> None:
        """Serve the connection until it ends. Cancelled, the handler's ``finish`` is called all the same."""
        error: BaseException | None = None
        try:
            try:
                if self.handler.timeout is not None:
                    self._stream.timeout = self.handler.timeout
                self._call(self.call_setup)
                await self._serve()
            except trio.ClosedResourceError as exc:
                error = None if self._stream.closed else exc  # by the handler: it wanted no more
            except BaseException as exc:
                error = exc
            try:
                self._call(self.call_finish, self._refusal_at_end())
            except BaseException as exc:
                exc.__context__ = exc.__context__ or error
                error = exc
            try:
                await self._send_last(error)
            except BaseException as exc:
                error = error or exc
            if error is not None:
                raise error
        finally:
            # No cycles: of an exception with its traceback, of the handler with this.
            del error
            del self.handler

    def _refusal_at_end(self) -> Callable[[], Exception] | None:
        return None if self._stream.peer_error is None and not self._stream.closed else self._broken

    def _broken(self) -> Exception:
        error = self._stream.peer_error
        if error is None:
            return trio.ClosedResourceError("this connection was closed")
        broken = trio.BrokenResourceError(f"the peer is gone: {error}")
        broken.__cause__ = error
        return broken

    def _call(self, function: Callable[..., None], *args: object) -> None:
        self._calling = True
        try:
            function(*args)
        finally:
            self._calling = False

    async def _serve(self) -> None:
        stream = self._stream
        while not self.ending:
            if self._lost is not None:
                raise self._lost
            if self.unsent or self._unflushed:
                await self._flush()
            elif self.more:
                await trio.lowlevel.checkpoint()  # P10
                self._call(self.feed, b"")
            elif stream.end_of_stream:
                await self._wait_after_end()
            elif await self._receive():
                if self.ending:
                    return  # another one has closed it in the same moment
                self._call(self.feed, stream.buffer.take(stream.buffer.size))
            elif stream.end_of_stream:
                self._call(self.feed_end)

    async def _receive(self) -> bool:
        """Wait for input; false if there is none, for whatever reason. Sets ``ending`` where that is one."""
        stream = self._stream
        self._receiving = True
        try:
            if self.waits_for_peer:
                return await stream.fill()
            if not self.in_between:
                return await stream.fill(timeout=math.inf)  # the peer waits for the handler
            if await stream.wait_request():
                return True
            if not (stream.called_off or stream.end_of_stream) and self.in_between:
                self.ending = True  # the server drains, or nothing came in time
        finally:
            self._receiving = stream.called_off = False
        return False

    async def _wait_after_end(self) -> None:
        """Wait for the handler to close a connection of which the peer has closed its half."""
        timeout = self._stream.timeout
        async with trio.open_nursery() as nursery:
            self._waiting = nursery.cancel_scope
            nursery.start_soon(self._end_at_drain)
            await trio.sleep(math.inf if timeout is None else timeout)
            if self.in_between:
                self._stream.note_timeout(Timeout.IDLE)
                self.ending = True
            nursery.cancel_scope.cancel()
        self._waiting = None

    async def _end_at_drain(self) -> None:
        await self._wait_draining()
        if self.in_between:
            self.end()

    # Sending.

    def _push(self) -> None:
        if self._sending:
            return  # what is being sent goes first
        data = self._take_out()
        try:
            sent = self._stream.try_send(data)
        except trio.BusyResourceError:
            sent = 0
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._lost = error
            sent = 0
        self.unsent = len(data) - sent
        if self.unsent:
            self._out = [memoryview(data)[sent:]]
        self._unflushed = self._stream.unflushed
        if self.unsent or self._unflushed or self._lost is not None:
            self._attend_soon()

    def _send_what_fits(self) -> None:
        self._push()

    async def _flush(self) -> None:
        """Send all that was written, and what is written meanwhile."""
        stream = self._stream
        while self.unsent or self._unflushed:
            data = self._take_out()
            self._sending = self._broken_off = True
            try:
                sent = stream.try_send(data)
                if sent < len(data) or stream.unflushed:
                    await stream.send_rest(memoryview(data)[sent:])
            finally:
                self._sending = False
            self._broken_off = self._unflushed = False
            self.unsent -= len(data)

    async def _send_last(self, error: BaseException | None) -> None:
        if not self.unsent or self._broken_off or self._stream.closed or self._stream.peer_error is not None:
            return
        if isinstance(error, trio.Cancelled):
            self._push()  # what fits
        else:
            await self._flush()

    # What changes while it waits.

    def _attend_soon(self) -> None:
        if self._receiving:
            self._stream.called_off = True
            self._stream.interrupt()
        elif self._waiting is not None:
            self._waiting.cancel()

    def busy_changed(self) -> None:
        """The handler's ``busy`` was set."""
        self._attend_soon()
