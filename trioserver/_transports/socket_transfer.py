"""Receiving and sending on an endpoint: try first, wait only when the kernel has nothing (or no room)."""

from __future__ import annotations

import errno
import operator
import socket
from typing import TYPE_CHECKING, Any, Final

import trio

from .._vocabulary.errors import StreamTimeout
from .._vocabulary.options import check_seconds
from .._vocabulary.reports import Timeout
from .endpoint import KernelEndpoint
from .stream import OPERATIONS_PER_CHECKPOINT, RECEIVE_BYTES, RequestStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from _typeshed import ReadableBuffer

    from .deadlines import DeadlineWatch
    from .endpoint import Endpoint
    from .outbox import Flusher
    from .tls import TLSEndpoint

_NEVER: Final = float("inf")
_PIECE_COSTS: Final = 4
"""What the encryption of one piece counts in a stream's budget: it takes longer than other operations."""

READ: Final = 0
WRITE: Final = 1


class SocketTransfer(RequestStream):
    """A connected stream socket, and what goes through it. Abstract: see `SocketStream`.

    Args:
      endpoint: The socket; the stream owns it and closes it.
      watch: What makes `timeout` work; without one no timeout can be set.
      flusher: What sends gathered replies in time; without one, nothing is gathered by itself.
    """

    __slots__ = (
        "_deadlines",
        "_endpoint",
        "_eof_sent",
        "_kernel_socket",
        "_sending",
        "_timeout",
        "_tls",
        "_watch",
        "watched_until",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        watch: DeadlineWatch | None = None,
        flusher: Flusher | None = None,
    ) -> None:
        super().__init__()
        self.flusher = flusher
        self._endpoint = endpoint
        # To receive from and send to, without the endpoint in between; none over TLS or on another network.
        self._kernel_socket = endpoint.socket if isinstance(endpoint, KernelEndpoint) else None
        self._tls: TLSEndpoint | None = None  # the endpoint, if it is one of these
        self._watch = watch
        self._timeout: float | None = None
        self._deadlines: list[float] | None = None  # of the wait in each direction, once there was a timeout
        self.watched_until = _NEVER
        self._sending = False
        self._eof_sent = False

    @property
    def socket(self) -> Any:
        """The socket underneath, for its options and addresses; sending or receiving on it is an error."""
        return self._endpoint.socket

    @property
    def timeout(self) -> float | None:
        """Seconds that one wait for the peer may take; ``None``, the default, is no bound.

        As with the stdlib's ``socket.settimeout`` it bounds each wait and not the whole of an operation.
        """
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        if seconds is not None:
            self._check_timeout(seconds)
        self._timeout = seconds

    def _check_timeout(self, seconds: float) -> None:
        if self._watch is None:
            raise RuntimeError("this stream belongs to no server, which would watch its timeout")
        check_seconds("timeout", seconds, none="no bound")

    # Receiving.

    def receive_now(self, max_bytes: int = RECEIVE_BYTES) -> bytes | None:
        """Receive without waiting; ``None`` where that takes more than one receive."""
        if self.drained or self.budget <= 0:
            return None
        self.budget -= 1
        endpoint = self._endpoint
        sock = self._kernel_socket
        try:
            data: bytes = endpoint.recv_nowait(max_bytes) if sock is None else sock.recv(max_bytes)
        except BlockingIOError:
            if isinstance(endpoint, KernelEndpoint):
                endpoint.found_empty()
            self.drained = True
            return None
        except OSError as error:
            if self._sending and self._tls is not None and not self._tls.established:
                # No fault of the peer's, which would be remembered as gone.
                raise trio.BusyResourceError("another task makes the TLS handshake") from None
            raise self._translate(error) from self._peer_error or error
        if not data:
            self.end_of_stream = True
            return data
        # After a receive that did not fill its buffer the next one would find nothing: wait at once, and
        # save the exception. Another byte may have come meanwhile; then the wait ends at once.
        if len(data) < max_bytes and endpoint.short_means_empty:
            self.drained = True
            if sock is not None:
                endpoint.readable = False  # type: ignore[attr-defined]  # it is the kernel's
        self.bytes_received += len(data)
        return data

    def wait_input(self, max_bytes: int = RECEIVE_BYTES) -> Awaitable[bool | None]:
        """What to await where `receive_now` said ``None``: the socket, if there is no timeout to keep."""
        if not self.drained or self._timeout is not None:
            return self.fill(max_bytes)
        self.drained = False
        self.budget = OPERATIONS_PER_CHECKPOINT
        return self._endpoint.wait_readable()

    # Safe from Ctrl-C, as whatever calls ``wait_readable`` of an endpoint.
    @trio.lowlevel.enable_ki_protection
    async def fill(
        self,
        max_bytes: int = RECEIVE_BYTES,
        *,
        until_drain: bool = False,
        timeout: float | None = None,
    ) -> bool:
        """Receive into the buffer; false at the end of the stream. A checkpoint only if it waits."""
        if (outbox := self.outbox) is not None and outbox.size:
            if self.flusher is None:
                await outbox.flush()
            else:  # does not wait: a peer that sends first and reads later must not hold up reading
                self.flusher.flush(outbox)
        # Written out flat: it is the path of many requests, and each coroutine more would show.
        looked = False
        deadline = _NEVER
        while True:
            if self.called_off:  # and no other look: what the task is called for goes before input
                self.drained = False
                return False
            if not self.drained:
                if self.budget <= 0:  # P10, and before the bytes are taken: a cancellation loses none
                    self.budget = OPERATIONS_PER_CHECKPOINT
                    await trio.lowlevel.checkpoint()
                looked = True
                if (data := self.receive_now(max_bytes)) is not None:
                    if data:
                        self.buffer.append(data)
                    return not self.end_of_stream
            endpoint = self._endpoint  # each time: while this one waited it may have become a TLS endpoint
            self.drained = False
            if until_drain and self._draining:
                if looked:
                    return False
                continue
            looked = False
            if self._timeout is not None or timeout is not None:
                if timeout is None:
                    timeout = self._timeout
                assert timeout is not None
                if deadline == _NEVER:
                    self._check_timeout(timeout)
                    deadline = trio.current_time() + timeout
                kind = Timeout.IDLE if until_drain else Timeout.WAIT
                if self._tls is not None and timeout and trio.current_time() >= deadline:
                    # Not even a wait: records without data come without a pause, so nothing interrupts one.
                    self.note_timeout(kind)
                    raise StreamTimeout(timeout)
                await self._wait(endpoint.wait_readable, READ, timeout, deadline, kind)
                continue
            self.budget = OPERATIONS_PER_CHECKPOINT
            try:
                await endpoint.wait_readable()
            except trio.ClosedResourceError:  # or interrupted: look again
                if self._closed or endpoint.socket.fileno() == -1:
                    raise

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive from the peer; ``b""`` is the end of the stream. See ``trio.abc.ReceiveStream``."""
        if max_bytes is None:
            max_bytes = RECEIVE_BYTES
        else:
            max_bytes = operator.index(max_bytes)
            if max_bytes < 1:
                raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        buffer = self.buffer
        if self._closed or buffer.size or not self.drained:
            await trio.lowlevel.checkpoint()
            self.budget = OPERATIONS_PER_CHECKPOINT
            if self._closed:
                raise trio.ClosedResourceError("this stream was closed")
        if not buffer.size:
            return await self.receive_unbuffered(max_bytes)
        return buffer.take(max_bytes)

    # Sending.

    def try_send(self, data: ReadableBuffer) -> int:
        """Send what fits now; returns how many bytes that were."""
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        sock = self._kernel_socket
        try:
            sent: int = self._endpoint.send_nowait(data) if sock is None else sock.send(data)
        except BlockingIOError:
            if isinstance(self._endpoint, KernelEndpoint):
                self._endpoint.found_full()
            return 0
        except OSError as error:
            raise self._translate(error) from self._peer_error or error
        self.bytes_sent += sent
        if self._tls is not None:
            self.unflushed = self._tls.unflushed
        return sent

    async def send_rest(self, rest: memoryview) -> None:
        """Send all of ``rest`` and what is ``unflushed``, waiting for the peer to make room."""
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        endpoint = self._endpoint
        deadline = _NEVER
        self._sending = True
        try:
            while rest or self.unflushed:
                try:
                    sent = endpoint.send_nowait(rest)
                except BlockingIOError:
                    # Only now: an endpoint may tell of room just once after the kernel had none.
                    timeout = self._timeout
                    if timeout is not None and deadline == _NEVER:
                        deadline = trio.current_time() + timeout
                    await self._wait(endpoint.wait_writable, WRITE, timeout, deadline)
                except OSError as error:
                    raise self._translate(error) from self._peer_error or error
                else:
                    self.bytes_sent += sent
                    rest = rest[sent:]
                    deadline = _NEVER  # the timeout is for each wait, and the peer did something
                    if self._tls is not None:
                        self.unflushed = self._tls.unflushed
                        self.budget -= _PIECE_COSTS
                        if self.budget < 0:  # P10: encryption in pieces, for which there may always be room
                            self.budget = OPERATIONS_PER_CHECKPOINT
                            await trio.lowlevel.checkpoint()
        finally:
            self._end_sender()

    def _end_sender(self) -> None:
        """Let others send; first, what was put back since this one did."""
        self._sending = False
        self.send_later()

    async def send_all(self, data: ReadableBuffer) -> None:
        """Send everything. See ``trio.abc.SendStream``; when cancelled, a part may have been sent."""
        if self._closed or self.outbox is not None:
            await self._begin_send()
        else:  # which comes to no more than this
            await trio.lowlevel.checkpoint_if_cancelled()
        if type(data) is not bytes:
            data = memoryview(data).cast("B")
        sent = self.try_send(data)
        if sent < len(data) or self.unflushed:
            await self.send_rest(memoryview(data)[sent:])
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
        self.budget = OPERATIONS_PER_CHECKPOINT

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room to send. See ``trio.abc.SendStream``."""
        await self._begin_send()
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        timeout = self._timeout
        deadline = _NEVER if timeout is None else trio.current_time() + timeout
        self._sending = True
        try:
            await self._wait(self._endpoint.wait_writable, WRITE, timeout, deadline)
        finally:
            self._end_sender()

    async def send_eof(self) -> None:
        """Close the sending half: the peer sees the end of the stream once it has read everything.

        Over TLS that is a ``close_notify``. Receiving goes on, with TLS 1.2 as with 1.3; but a peer that
        keeps to RFC 5246 section 7.2.1 answers with its own, and drops what it had still to send.
        """
        await self._begin_send()
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        await self._end_sending()
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def _end_sending(self) -> None:
        """Close the sending half; waits only where TLS has something left to send."""
        try:
            self._endpoint.shutdown(socket.SHUT_WR)
            if self._tls is not None:
                self.unflushed = self._tls.unflushed
                await self.send_rest(memoryview(b""))
        except OSError as error:
            raise self._translate(error) from self._peer_error or error
        finally:
            self._eof_sent = True

    async def _begin_send(self) -> None:
        """What the sending methods of trio's interface begin with."""
        if self._closed:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError("this stream was closed")
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.outbox is not None:
            await self.outbox.flush()

    # Waiting.

    @trio.lowlevel.enable_ki_protection
    async def _wait(
        self,
        wait: Callable[[], Awaitable[None]],
        direction: int,
        timeout: float | None,
        deadline: float,
        kind: Timeout = Timeout.WAIT,
    ) -> None:
        """Wait for the endpoint, until ``deadline``; a reader returns early when interrupted, to look again.

        The deadline is the caller's, who keeps it when he has to wait again for the same: interruptions are
        meant for either direction and must not put off the deadline of the other.
        """
        self.budget = OPERATIONS_PER_CHECKPOINT
        while True:
            if timeout is not None:
                self._watch_deadline(direction, deadline)
            try:
                await wait()
                return
            except trio.ClosedResourceError:
                if self._closed or self._endpoint.socket.fileno() == -1:
                    raise
                called_off = direction == READ and self.called_off  # goes before the timeout, too
                if timeout is not None and trio.current_time() >= deadline and not called_off:
                    self.note_timeout(kind)
                    raise StreamTimeout(timeout) from None
                if direction == READ:
                    return
            finally:
                if self._deadlines is not None:
                    self._deadlines[direction] = _NEVER

    def _watch_deadline(self, direction: int, deadline: float) -> None:
        assert self._watch is not None
        if self._deadlines is None:
            self._deadlines = [_NEVER, _NEVER]
        self._deadlines[direction] = deadline
        if deadline < self.watched_until:
            self._watch.add(self, deadline)

    @property
    def deadline(self) -> float:
        """When the wait that is under way has to end: what the deadline watch looks at."""
        return _NEVER if self._deadlines is None else min(self._deadlines)

    def interrupt(self) -> None:
        """Make a task that waits for this stream look again at why it does."""
        if not self._closed:
            self._endpoint.interrupt()

    def _translate(self, error: OSError) -> Exception:
        """trio's exception for an ``OSError``: who closed the connection, this side or the peer?"""
        if self._closed or error.errno in (errno.EBADF, errno.ENOTSOCK):
            return trio.ClosedResourceError("this stream was closed")
        if self._eof_sent and error.errno == errno.EPIPE:
            return trio.ClosedResourceError("the sending half of this stream was closed by send_eof()")
        if self._peer_error is None:
            # Its traceback has frames that have this stream: a cycle, for each client that resets (P9). So
            # has that of what was being handled just then, the cancellation of the request say.
            self._peer_error = error.with_traceback(None)
            error.__context__ = None
        if self._tls is not None:
            from .tls import describe

            return trio.BrokenResourceError(f"the TLS connection is broken: {describe(error)}")
        return trio.BrokenResourceError(f"the peer is gone: {error}")
