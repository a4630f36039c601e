"""TLS as an endpoint: put on top of another one, it makes a stream's bytes ciphertext.

Nothing above needs to know: timeouts, budget, gathered replies, drain and lingering work as they do on
plain connections. OpenSSL works on two buffers in memory; this class moves bytes between them and the
endpoint below, and never waits.

1. Sent is what was encrypted. It can not be taken back, so that a send which is cancelled neither loses nor
   repeats bytes. Ciphertext the kernel had no room for goes first the next time: `TLSEndpoint.unflushed`.
2. What is kept in memory is bounded (P9): `ENCRYPT_BYTES` on the way out, `FEED_BYTES` on the way in, and
   `ANSWER_BYTES` of what OpenSSL answers by itself.
3. OpenSSL is not told of an end of the connection below: it would then refuse to send as well, and a client
   that closed its half would get no reply.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from _typeshed import ReadableBuffer

    from .endpoint import Endpoint

ENCRYPT_BYTES: Final = 65536
"""How much is encrypted before it is sent: four records of the largest size."""

FEED_BYTES: Final = 65536
"""How much one receive takes from the endpoint below."""

ANSWER_BYTES: Final = 65536
"""How much output may pile up that nobody wrote: a peer can ask for new keys again and again, and not read
the answers (RFC 8446 section 4.6.3). A peer that does this is cut off."""

_RECORD_BYTES: Final = 16384 + 256 + 5
"""The largest record (RFC 8446 section 5.2), and how much OpenSSL is given at once: it works through all of
it before it says that there is no data. 64 KiB of key updates take it a fifth of a second (P10)."""


class TLSEndpoint:
    """An `Endpoint` that speaks TLS over another one, which it owns.

    Args:
      inner: The connection below.
      wrap: Makes the SSL object on an incoming and an outgoing buffer, as ``SSLContext.wrap_bio`` does.
      suppress_ragged_eofs: Whether an end of the connection without ``close_notify`` is an end of the
        stream, and not an error.

    Attributes:
      inner: The connection below.
      ssl_object: OpenSSL's side of it.
      established: Whether the handshake is done.
    """

    __slots__ = (
        "_ciphertext",
        "_closed",
        "_ended",
        "_eof",
        "_error",
        "_incoming",
        "_kept",
        "_more",
        "_outgoing",
        "_peer_ended",
        "_pending",
        "_shut",
        "_suppress_ragged_eofs",
        "established",
        "inner",
        "ssl_object",
    )

    def __init__(
        self,
        inner: Endpoint,
        wrap: Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject],
        *,
        suppress_ragged_eofs: bool = True,
    ) -> None:
        self.inner = inner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.ssl_object: ssl.SSLObject = wrap(self._incoming, self._outgoing)
        self.established = False
        self._suppress_ragged_eofs = suppress_ragged_eofs
        self._pending = memoryview(b"")  # ciphertext that the kernel had no room for
        self._ciphertext = memoryview(b"")  # what came, and was not yet given to OpenSSL
        self._kept = bytearray()  # what was decrypted before it was asked for
        self._more = True  # whether the kernel may have more, without telling so again
        self._eof = False  # whether the connection below has ended
        self._peer_ended = False  # whether the peer said close_notify
        self._ended = False  # whether our half has
        self._shut = False  # and was closed below, too
        self._error: OSError | None = None
        self._closed = False

    @property
    def socket(self) -> Any:
        """The socket below."""
        return self.inner.socket

    @property
    def unflushed(self) -> bool:
        """Whether there is ciphertext that the kernel has not yet taken."""
        return len(self._pending) > 0 or self._outgoing.pending > 0

    # The handshake.

    @trio.lowlevel.enable_ki_protection
    def handshake(self) -> Callable[[], Awaitable[None]] | None:
        """Go on with the handshake as far as it gets.

        Returns:
          What to wait for before the next call, or ``None`` when it is done.

        Raises:
          ssl.SSLError: It failed, and the peer was told so.
          OSError: The connection below failed.
        """
        while True:
            try:
                if not self.established:
                    self.ssl_object.do_handshake()
                    self.established = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                self._push()  # the alert
                raise
            try:
                if not self._flush():
                    return self.inner.wait_writable
            except BlockingIOError:
                return self.inner.wait_writable
            if self.established:
                return None
            try:
                self._feed()
            except BlockingIOError:
                return self.inner.wait_readable
            if self._eof:
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the peer closed the connection")

    # Receiving.

    @property
    def short_means_empty(self) -> bool:
        """False while anything is left here that can be had without a wait."""
        return not self._something_left()

    def _something_left(self) -> bool:
        return bool(
            self._more
            or self._eof
            or self._peer_ended
            or self._kept
            or len(self._ciphertext)
            or self._incoming.pending
            or self.ssl_object.pending()
        )

    @trio.lowlevel.enable_ki_protection
    def recv_nowait(self, max_bytes: int) -> bytes:
        """Receive at most so many bytes, decrypted."""
        if self._kept:
            data = bytes(self._kept[:max_bytes])
            del self._kept[:max_bytes]
            return data
        self._check_usable()
        fed = False
        while True:
            # Not in vain: the exception that says so would take longer than all the rest of it.
            if self._incoming.pending or self.ssl_object.pending():
                received = self._read(max_bytes)
                if self._outgoing.pending:
                    self._push()
                if received is not None:
                    return received
                if self._error is not None:
                    raise self._error
            if self._peer_ended:
                return b""
            if self._eof:
                if self._suppress_ragged_eofs:
                    return b""
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the connection ended without TLS's close_notify")
            if fed:  # P10: others have their turn
                raise BlockingIOError(errno.EAGAIN, "only records without data came")
            self._feed()
            fed = not self._eof

    def _read(self, max_bytes: int) -> bytes | None:
        """What OpenSSL has, ``b""`` at the peer's ``close_notify``, or ``None`` if it needs more input."""
        try:
            data = self.ssl_object.read(max_bytes)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:  # what it is called when our half was closed as well
            data = b""
        except ssl.SSLError as error:
            self._push()  # the alert
            self._fail(error)
            raise
        if not data:
            self._peer_ended = True
        return data

    def _feed(self) -> None:
        """Pass on what has arrived below, a record's length at most; BlockingIOError if nothing has."""
        if not len(self._ciphertext):
            try:
                data = self.inner.recv_nowait(FEED_BYTES)
            except BlockingIOError:
                self._more = False
                raise
            self._more = len(data) == FEED_BYTES or not self.inner.short_means_empty
            if not data:
                self._eof = True
                return
            self._ciphertext = memoryview(data)
        self._incoming.write(self._ciphertext[:_RECORD_BYTES])
        self._ciphertext = self._ciphertext[_RECORD_BYTES:] or memoryview(b"")

    def wait_readable(self) -> Awaitable[None]:
        """Wait until a receive would do something."""
        if not self._closed and self._something_left():
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105  the caller awaits it
        return self.inner.wait_readable()

    # Sending.

    @trio.lowlevel.enable_ki_protection
    def send_nowait(self, data: ReadableBuffer) -> int:
        """Encrypt, and send what fits; returns how many bytes of ``data`` were encrypted.

        Nothing is while there is `unflushed` ciphertext; to send that, and no more, pass no data.
        """
        self._check_usable()
        if self.unflushed and not self._flush():
            return 0
        view = memoryview(data)
        if not len(view):
            return 0
        if self._ended:
            raise BrokenPipeError(errno.EPIPE, "close_notify was sent")
        sent = 0
        try:
            while sent < len(view) and sent < ENCRYPT_BYTES:
                sent += self.ssl_object.write(view[sent:ENCRYPT_BYTES])
        except ssl.SSLError as error:
            self._fail(error)
            raise
        with contextlib.suppress(BlockingIOError):  # sent is what was encrypted
            self._flush()
        return sent

    def _flush(self) -> bool:
        """Send ciphertext; whether that was all of it. BlockingIOError if there was no room at all."""
        progress = False
        try:
            while self.unflushed:
                if not len(self._pending):
                    self._pending = memoryview(self._outgoing.read())
                sent = self.inner.send_nowait(self._pending)
                self._pending = self._pending[sent:]
                progress = True
        except BlockingIOError:
            if progress:
                return False
            raise
        self._pending = memoryview(b"")  # an idle connection keeps no buffer
        if self._ended and not self._shut:
            self._shut = True
            self.inner.shutdown(socket.SHUT_WR)
        return True

    def _push(self) -> None:
        """Send what OpenSSL has to say, if there is room; an error shows at the next call."""
        try:
            self._flush()
        except BlockingIOError:
            if self._outgoing.pending > ANSWER_BYTES:  # P9
                self._fail(OSError(errno.ENOBUFS, "the peer asks for answers and does not read them"))
        except OSError as error:
            self._fail(error)

    def wait_writable(self) -> Awaitable[None]:
        """Wait until a send would do something."""
        return self.inner.wait_writable()

    # Ending.

    @trio.lowlevel.enable_ki_protection
    def shutdown(self, how: int) -> None:
        """Close the sending half: send ``close_notify`` (RFC 8446 section 6.1), then close that half below.

        What there is no room for goes out with the next call of `send_nowait`. Receiving goes on, unless that
        is to be closed as well.
        """
        if how != socket.SHUT_RD:
            if not self._ended:
                self._ended = True
                if self.established and self._error is None:
                    self._say_goodbye()
            with contextlib.suppress(BlockingIOError):
                self._flush()
        if how != socket.SHUT_WR:
            self.inner.shutdown(socket.SHUT_RD)

    def _say_goodbye(self) -> None:
        # OpenSSL looks for the peer's close_notify at once, and input that it finds in its place is an error
        # and lost. So that is taken out first.
        try:
            while True:
                while data := self._read(FEED_BYTES):
                    self._kept += data
                if data is not None or not len(self._ciphertext):
                    break
                self._feed()
            self.ssl_object.unwrap()
        except ssl.SSLWantReadError:
            pass  # the peer has not closed its half, as is to be expected
        except ssl.SSLError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if self._error is None:
            self._error = error.with_traceback(None)

    def _check_usable(self) -> None:
        if self._closed:
            raise OSError(errno.EBADF, "this connection was closed")
        if self._error is not None:
            raise self._error
        if not self.established:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the TLS handshake was not completed")

    def interrupt(self) -> None:
        """Make whoever waits look again."""
        self.inner.interrupt()

    def unsent_bytes(self) -> int | None:
        """Bytes of ciphertext that were not yet acknowledged."""
        unsent = self.inner.unsent_bytes()
        return None if unsent is None else unsent + len(self._pending) + self._outgoing.pending

    def close(self) -> None:
        """Close at once, without ``close_notify``: the peer can tell that it did not get everything."""
        self._closed = True
        self._error = None
        self._kept.clear()
        self.inner.close()


def describe(error: OSError) -> str:
    """What went wrong, in OpenSSL's words, without the line of C where it was noticed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLWantReadError):  # in the middle of a write
        return "the peer wants to renegotiate, which is not supported"
    if isinstance(error, ssl.SSLError) and getattr(error, "reason", None):
        return error.reason.replace("_", " ").lower()
    return error.strerror or str(error)


def wrap_server(context: ssl.SSLContext) -> Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject]:
    """What makes the server side of a connection."""
    return lambda incoming, outgoing: context.wrap_bio(incoming, outgoing, server_side=True)
