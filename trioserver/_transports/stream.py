"""The stream that a handler gets, as far as it does not depend on what is underneath.

`RequestStream` is a full ``trio.abc.HalfCloseableStream`` with an input buffer that `StreamReader` shares,
and an outbox that `StreamWriter` shares, so that mixing ``self.rfile``, ``self.wfile`` and ``self.request``
neither loses nor reorders a byte.

Checkpoints (P10): the methods of trio's stream interface keep trio's rule, each call is a checkpoint.
`StreamReader` and `StreamWriter` are covered by a budget instead: after `OPERATIONS_PER_CHECKPOINT` of their
operations without a wait, the next one is a checkpoint. A checkpoint costs as much as sending a short reply
does, so a connection with much to do is not slowed by it, and one of many can not starve the others.
"""

from __future__ import annotations

import abc
import contextlib
from typing import TYPE_CHECKING, Any, Final

import trio

from .._vocabulary.errors import StreamTimeout
from .open_unix import PeerCredentials, peer_credentials
from .receive_buffer import ReceiveBuffer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable

    from _typeshed import ReadableBuffer

    from .._vocabulary.reports import Timeout
    from .outbox import Flusher, Outbox

OPERATIONS_PER_CHECKPOINT: Final = 64
"""Operations of one stream that may pass without a checkpoint.

Measured with one polite client beside four that pipeline without pause: 64 keeps its median latency under
a millisecond; without a budget it is a tenth of a second, as it is with asyncio.
"""

NO_DRAIN: Final = 0
DRAINING: Final = 1
LOOKED: Final = 2  # and a last look has been taken for what had come before

RECEIVE_BYTES: Final = 65536
"""How much one receive asks for: more made bulk transfer slower, less made it no faster (measured)."""

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds that a TLS handshake may take.

Enough for two round trips, and a lost packet or two on a bad line; Go's HTTP client has the same. nginx and
asyncio allow 60 s, for which each client that connects and says nothing would hold one of ``max_requests``.
"""


class RequestStream(trio.abc.HalfCloseableStream):
    """A connection, as a handler's ``self.request``: trio's stream interface and a little more.

    Owned by the request: when its task ends the stream is closed. Only one task may receive and only one
    may send at a time; another one that tries gets ``trio.BusyResourceError``.

    Attributes:
      bytes_received: Bytes that came from the peer so far; over TLS, what they were when decrypted.
      bytes_sent: Bytes handed to the operating system so far; over TLS, what they were before.
      end_of_stream: Whether the peer has closed its half.
      timeouts: Which timeouts of the request have fired so far, in order, each once.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_draining",
        "_idle",
        "_peer_error",
        "budget",
        "buffer",
        "bytes_received",
        "bytes_sent",
        "called_off",
        "drained",
        "end_of_stream",
        "flusher",
        "outbox",
        "timeouts",
        "unflushed",
    )

    def __init__(self) -> None:
        self.buffer: ReceiveBuffer = ReceiveBuffer()
        self.outbox: Outbox | None = None  # made when there is something to gather
        self.flusher: Flusher | None = None
        self.budget: int = OPERATIONS_PER_CHECKPOINT
        self.bytes_received: int = 0
        self.bytes_sent: int = 0
        self.called_off: bool = False  # whether to wait no longer for input: for who calls `interrupt` then
        self.drained: bool = False  # whether the last receive left nothing: the next one is to wait
        self.end_of_stream: bool = False
        self.timeouts: tuple[Timeout, ...] = ()
        self.unflushed: bool = False  # whether bytes that count as sent wait in the TLS layer
        self._closed = False
        self._peer_error: OSError | None = None
        self._idle = False
        self._draining: int = NO_DRAIN

    # What is underneath: one class for each kind of connection.

    @property
    @abc.abstractmethod
    def socket(self) -> Any:
        """The socket underneath, for its options and addresses; sending or receiving on it is an error."""

    @property
    def closed(self) -> bool:
        """Whether the stream was closed on this side."""
        return self._closed

    @property
    def peer_error(self) -> OSError | None:
        """The error by which the peer was found to be gone, or ``None``."""
        return self._peer_error

    @property
    @abc.abstractmethod
    def timeout(self) -> float | None:
        """Seconds that one wait for the peer may take; ``None``, the default, is no bound.

        As with the stdlib's ``socket.settimeout`` it bounds each wait and not the whole of an operation. A
        wait that takes longer raises `StreamTimeout`.
        """

    @timeout.setter
    def timeout(self, seconds: float | None) -> None: ...

    @abc.abstractmethod
    async def fill(
        self,
        max_bytes: int = RECEIVE_BYTES,
        *,
        until_drain: bool = False,
        timeout: float | None = None,
    ) -> bool:
        """Receive into the buffer; false at the end of the stream. A checkpoint only if it waits.

        Sends what is gathered before it waits. With ``until_drain`` it is false, too, when it would have to
        wait and the server drains. ``timeout`` is used in place of the stream's own, for this wait alone.
        """

    # `fill` without its coroutine, for the shortest path of a reader.

    @abc.abstractmethod
    def receive_now(self, max_bytes: int = RECEIVE_BYTES) -> bytes | None:
        """Receive without waiting, past the buffer, where the caller puts it behind what is there.

        ``None``: ask `wait_input` what to await, or call `fill`.
        """

    @abc.abstractmethod
    def wait_input(self, max_bytes: int = RECEIVE_BYTES) -> Awaitable[bool | None]:
        """What to await, at once, where `receive_now` said ``None``.

        Its result is that of `fill`, or ``None``: try again. It may raise ``trio.ClosedResourceError`` when
        it was only interrupted: try again, too.
        """

    # As `fill`, without Ctrl-C between the waiter and its wait.
    @trio.lowlevel.enable_ki_protection
    async def receive_unbuffered(self, max_bytes: int) -> bytes:
        """Receive what comes, not by way of the buffer, which is empty; ``b""`` at the end of the stream.

        A checkpoint only if it waits. Sends what is gathered before that.
        """
        if self.outbox is None or not self.outbox.size:
            data: bytes | None = None
            while self.drained or (data := self.receive_now(max_bytes)) is None:
                try:
                    if await self.wait_input(max_bytes) is not None:
                        return self.buffer.take(max_bytes)  # there was a timeout to keep, say
                except trio.ClosedResourceError:  # or interrupted: look again
                    if self.closed:
                        raise
                if self.buffer.size:  # another task has looked for a request meanwhile
                    return self.buffer.take(max_bytes)
            return data
        await self.fill(max_bytes)
        return self.buffer.take(max_bytes)

    @abc.abstractmethod
    def try_send(self, data: ReadableBuffer) -> int:
        """Send what fits now; returns how many bytes that were.

        The caller goes on with `send_rest` unless that was all of them and nothing is ``unflushed``.
        """

    @abc.abstractmethod
    async def send_rest(self, rest: memoryview) -> None:
        """Send all of ``rest`` and what is ``unflushed``, waiting for the peer to make room."""

    async def flush_gathered(self) -> None:
        """Send what was gathered, when the handler is done. A client that is gone is no error here."""
        if self.outbox is not None and not self.outbox.told:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self.outbox.flush()

    def send_later(self) -> None:
        """Have sent what was put back, in case that the handler neither writes nor reads any more."""
        outbox, flusher = self.outbox, self.flusher
        if outbox is None or flusher is None or self._closed:
            return  # when the server ends its streams are closed, and nobody may start a helper
        if not outbox.room and (outbox.size or self.unflushed):
            flusher.add(outbox)

    @abc.abstractmethod
    def interrupt(self) -> None:
        """Make a task that waits for this stream look again at why it does."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close at once and without waiting; what the peer has not yet read may be lost. Idempotent."""

    @property
    @abc.abstractmethod
    def may_be_closed(self) -> bool:
        """Whether the peer gets all that was sent though the stream is closed at once."""

    @abc.abstractmethod
    async def close_gracefully(self, *, timeout: float, max_bytes: int) -> None:
        """Close so that the peer gets all that was sent; see ``StreamServer.linger_timeout``."""

    # TLS.

    @property
    @abc.abstractmethod
    def ssl_object(self) -> ssl.SSLObject | None:
        """OpenSSL's side of a TLS connection, ``None`` on a plain one.

        To ask: ``getpeercert()``, ``selected_alpn_protocol()``, ``cipher()``, ``version()``,
        ``get_channel_binding()``. Reading or writing with it would break the stream.
        """

    @abc.abstractmethod
    async def starttls(
        self,
        ssl_context: ssl.SSLContext,
        *,
        timeout: float | None = HANDSHAKE_TIMEOUT,
        suppress_ragged_eofs: bool = True,
    ) -> None:
        """Make this connection a TLS connection, in place, as its server side.

        For protocols that begin in plain text, such as SMTP: send the reply to STARTTLS, then call this. What
        was gathered before is sent in plain text; everything after it is encrypted, through this stream,
        ``rfile`` and ``wfile`` alike. The client's ``SNI`` and ``ALPN`` are the context's business.

        Args:
          ssl_context: A context for servers: ``ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)`` with a
            certificate loaded.
          timeout: Seconds that the whole handshake may take; 10. ``None`` is no bound.
          suppress_ragged_eofs: See ``StreamServer.suppress_ragged_eofs``.

        Raises:
          ConfigError: ``ssl_context`` is none, or one for clients.
          HandshakeError: The handshake failed, or took too long. Or there is input in the buffer, that came
            before the handshake: who can write to the connection before it is encrypted could have put it
            there, to be taken for the client's (CVE-2011-0411). RFC 3207 section 4.2 says to discard
            what is known from before; as no honest client sends anything, it ends the connection here.
          RuntimeError: This is a TLS connection already.
          trio.BrokenResourceError, StreamTimeout: What was gathered could not be sent.
          trio.BusyResourceError: Another task is sending or receiving.

        Cancellation: closes the connection, of which the rest could not be understood. So does a timeout.
        """

    def peer_credentials(self) -> PeerCredentials:
        """Who the peer of a Unix socket is: process, user and group, from ``SO_PEERCRED``.

        Raises:
          OSError: ``ENOTSUP`` on platforms other than Linux, and for sockets that are not Unix sockets.
        """
        return peer_credentials(self.socket)

    def note_timeout(self, timeout: Timeout) -> None:
        """Note that a timeout fired, for the event and for the handler's ``finish``."""
        if timeout not in self.timeouts:
            self.timeouts += (timeout,)

    # The end of a connection's idleness.

    @property
    def idle(self) -> bool:
        """Whether a task is in `wait_request`."""
        return self._idle

    def begin_drain(self) -> None:
        """Tell the stream that its server drains: `wait_request` ends."""
        self._draining = self._draining or DRAINING
        if self._idle:
            self.interrupt()

    @trio.lowlevel.enable_ki_protection  # as `wait_input` wants it
    async def wait_request(self, timeout: float | None = None) -> bool:
        """Wait for the next request of a persistent connection: the condition of a keep-alive loop.

        Args:
          timeout: How many seconds to wait at most; by default as long as the stream's ``timeout``.

        Returns:
          True when there is a byte to read. False at the end of the stream, after the timeout, and when the
          server drains, so that an idle connection never holds up a shutdown. What had arrived
          before the drain is still answered: a last look takes what is there.

        Raises:
          trio.BrokenResourceError: The connection was reset.
          trio.BusyResourceError: Another task is reading, or waits for a request.

        Cancellation: nothing is lost; the bytes stay for the next read.
        """
        if self.buffer.size:
            self.budget -= 1
            if self.budget < 0:
                self.budget = OPERATIONS_PER_CHECKPOINT
                await trio.lowlevel.checkpoint()  # P10
            return True
        if self._draining:
            if self._draining == LOOKED:
                return False
            self._draining = LOOKED
        if self._idle:  # or the end of this call would hide the other one from a drain
            raise trio.BusyResourceError("another task waits for a request on this stream")
        self._idle = True
        try:
            if timeout is None and self.timeout is None and (self.outbox is None or not self.outbox.size):
                # `fill`, without its coroutine.
                while not (self._draining or self.called_off) and self.budget > 0:
                    if (data := self.receive_now()) is not None:
                        if data:
                            self.buffer.append(data)
                        return bool(data)
                    try:
                        await self.wait_input()
                    except trio.ClosedResourceError:  # or interrupted: look again
                        if self.closed:
                            raise
            return await self.fill(until_drain=True, timeout=timeout)
        except StreamTimeout:
            return False
        finally:
            self._idle = False

    # Budget.

    async def spend(self) -> None:
        """Count one operation that did not wait; a checkpoint when the budget is used up (P10)."""
        self.budget -= 1
        if self.budget < 0:
            self.budget = OPERATIONS_PER_CHECKPOINT
            await trio.lowlevel.checkpoint()
