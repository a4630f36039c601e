"""`Client`: a connection as a test has it, which says what came when it is not what should have come."""

from __future__ import annotations

import errno
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import trio

from trioserver import ConfigError, format_address

from ._client_sockets import abort, address_of, connected, host_of, socket_of
from ._differences import difference, shown
from ._incoming import RECEIVE_BYTES, End, Incoming

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable
    from typing import Self

    from ._hosts import Host


_FOR_THE_MESSAGE: Final = 0.1
"""Seconds to wait for more of what is wrong already, so that the message has it."""


class Client:
    """A connection to a server, for tests: where something does not come the error says what came instead.

    ::

        async with Client.connect(server) as client:
            await client.send(b"hello\\n")
            await client.expect(b"hello\\n")
            await client.send_eof()
            await client.expect_eof()

    It works on the kernel's network, on a `Network`, and on a stream from `connect`. What has come and was
    not asked for stays for the next call.

    Args:
      stream: Any stream of trio's; it belongs to the client from now on.
      timeout: Seconds of trio's clock that one call may take; 10, enough for a loaded machine, and under a
        mock clock no time at all.

    Raises (all methods, where they do not say otherwise):
      AssertionError: It did not come, but something else, the end of the stream, a reset, or nothing within
        ``timeout`` seconds.
      trio.ClosedResourceError: The client was closed.
      trio.BusyResourceError: Another task is doing the same.

    Cancellation: what has come stays for the next call; of what was to be sent a part may have been.
    """

    def __init__(self, stream: trio.abc.Stream, *, timeout: float = 10.0) -> None:
        self.stream = stream
        self.timeout = timeout
        self._incoming = Incoming(stream)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        target: Any,
        *,
        host: Host | str | None = None,
        timeout: float = 10.0,
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> AsyncIterator[Self]:
        """Connect for the length of a block; at its end the connection is closed.

        Args:
          target: A stream server that is open, the address of one, ``(host, port)``, or the path of a Unix
            socket. Of a server on all interfaces it is the one of this host.
          host: The host of a `Network` to connect from, or its name. By default the one in whose block this
            context manager is entered: where it was made does not count.
          timeout: See the class; connecting, too, may take so long.
          ssl_context: A context for clients, where the connection is to be a TLS connection. The handshake is
            made by the first call that sends or receives.
          server_hostname: The name that the server's certificate has to have; by default the address's.

        Raises:
          OSError: There is no connection to be had: ``ConnectionRefusedError`` and the like,
            ``socket.gaierror`` where the name is not known, ``TimeoutError`` after ``timeout`` seconds.
          ConfigError: ``target`` is nothing to connect to, or ``host`` is no host.
        """
        address = address_of(target)
        stream: trio.abc.Stream
        try:
            with host_of(host), trio.fail_after(timeout):
                stream = await connected(address)
        except trio.TooSlowError:
            message = f"no connection to {format_address(address)} within {timeout:g} s"
            raise TimeoutError(errno.ETIMEDOUT, message) from None
        if ssl_context is not None:
            name = server_hostname or (str(address[0]) if isinstance(address, tuple) else None)
            stream = trio.SSLStream(stream, ssl_context, server_hostname=name)
        client = cls(stream, timeout=timeout)
        try:
            yield client
        finally:
            await client.aclose()

    @property
    def address(self) -> Any:
        """The address of this end, the ``client_address`` of the handler; ``None`` where there is none."""
        sock = socket_of(self.stream)
        return sock.getsockname() if sock is not None else None

    @property
    def pending(self) -> bytes:
        """What has come and was not asked for."""
        return bytes(self._incoming.data)

    # Sending.

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of ``data``, waiting while the server does not read.

        Raises:
          trio.BrokenResourceError: The server has closed or reset the connection.
          AssertionError: It took longer than ``timeout``.
        """
        try:
            with trio.fail_after(self.timeout):
                await self.stream.send_all(data)
        except trio.TooSlowError:
            raise AssertionError(
                f"{memoryview(data).nbytes} bytes could not be sent within {self.timeout:g} s: "
                "the server does not read them"
            ) from None

    async def send_eof(self) -> None:
        """Close the sending half: the server sees the end of the stream, and may still send.

        Raises:
          ConfigError: The stream has no halves: TLS has none, see ``trio.abc.HalfCloseableStream``.
          trio.BrokenResourceError: The server has reset the connection.
        """
        if not isinstance(self.stream, trio.abc.HalfCloseableStream):
            raise ConfigError(f"{type(self.stream).__name__} has no half to close: use aclose()")
        await self.stream.send_eof()

    # Receiving.

    async def receive(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """What there is, at most ``max_bytes`` bytes, waiting if there is nothing; ``b""`` is the end."""
        end = await self._incoming.fill(bool, self._deadline(), max_bytes=max_bytes)
        if end not in (None, End.CLOSED):
            raise AssertionError(f"expected something, and {self._why(end)}")
        return self._incoming.take(max_bytes)

    async def receive_exactly(self, count: int) -> bytes:
        """So many bytes."""
        await self._fill(lambda data: len(data) >= count, f"{count} bytes")
        return self._incoming.take(count)

    async def receive_until(self, separator: bytes) -> bytes:
        """Everything up to and with ``separator``: a line, where it is ``b"\\n"``."""
        await self._fill(lambda data: separator in data, f"something that ends in {separator!r}")
        return self._incoming.take(self._incoming.data.index(separator) + len(separator))

    async def receive_all(self) -> bytes:
        """Everything up to the end of the stream."""
        end = await self._incoming.fill(lambda data: False, self._deadline())
        if end is not End.CLOSED:
            raise AssertionError(f"expected the end of the stream, and {self._why(end)}{self._so_far()}")
        return self._incoming.take(len(self._incoming.data))

    async def receive_slowly(self, count: int, bytes_per_second: float) -> bytes:
        """So many bytes, no faster than that; what was not yet received fills the buffers meanwhile.

        ``timeout`` is for each tenth of a second's bytes, and not for all of them.
        """
        part = max(1, int(bytes_per_second / 10))
        data = b""
        while len(data) < count:
            wanted = min(part, count - len(data))
            await trio.sleep(wanted / bytes_per_second)
            received = await self.receive(wanted)
            if not received:
                raise AssertionError(f"expected {count} bytes, and {End.CLOSED.value} after {shown(data)}")
            data += received
        return data

    # Expecting.

    async def expect(self, expected: bytes | bytearray | memoryview) -> None:
        """Wait until exactly these bytes have come, however they were split. More may follow them."""
        wanted, incoming = bytes(expected), self._incoming
        if not wanted:
            raise ConfigError("expected must not be empty: expect_nothing() waits for silence")
        # Ends at the first byte that is wrong, instead of waiting for as many as are right.
        end = await incoming.fill(
            lambda data: len(data) >= len(wanted) or not wanted.startswith(data), self._deadline()
        )
        if incoming.data.startswith(wanted):
            incoming.take(len(wanted))
            return
        if end is None:
            more = trio.current_time() + _FOR_THE_MESSAGE
            await incoming.fill(lambda data: len(data) >= len(wanted), more)
        raise AssertionError(difference(wanted, bytes(incoming.data), "" if end is None else self._why(end)))

    async def expect_eof(self) -> None:
        """Wait until the server has closed its half, and has sent nothing before that."""
        await self._expect_end(End.CLOSED, "the end of the stream")

    async def expect_reset(self) -> None:
        """Wait until the server has reset the connection, and has sent nothing before that."""
        await self._expect_end(End.RESET, "a reset")

    async def expect_nothing(self, seconds: float) -> None:
        """Wait so long, during which nothing may come, nor the end of the stream."""
        end = await self._incoming.fill(bool, trio.current_time() + seconds)
        if end is not End.LATE:
            came = shown(self.pending) if end is None else self._why(end)
            raise AssertionError(f"expected nothing for {seconds:g} s, and {came}{' came' * (end is None)}")

    async def _expect_end(self, expected: End, name: str) -> None:
        end = await self._incoming.fill(bool, self._deadline())
        if end is None:
            raise AssertionError(f"expected {name}, and {shown(self.pending)} came")
        if end is not expected:
            raise AssertionError(f"expected {name}, and {self._why(end)}")

    # Closing.

    def abort(self) -> None:
        """Close at once, and reset the connection: the server gets ``ECONNRESET``.

        Raises:
          ConfigError: There is no socket under the stream.
        """
        abort(self.stream)

    async def aclose(self) -> None:
        """Close; over TLS, with a ``close_notify`` if it can be sent in time. Closing twice is fine."""
        with trio.move_on_after(self.timeout), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.stream.aclose()

    def __repr__(self) -> str:
        return f"<Client on {self.stream!r}>"

    # Private.

    def _deadline(self) -> float:
        return trio.current_time() + self.timeout

    async def _fill(self, enough: Callable[[bytearray], bool], what: str) -> None:
        end = await self._incoming.fill(enough, self._deadline())
        if end is not None:
            raise AssertionError(f"expected {what}, and {self._why(end)}{self._so_far()}")

    def _why(self, end: End | None) -> str:
        return self._incoming.describe(end, self.timeout) if end is not None else ""

    def _so_far(self) -> str:
        return f", after {shown(self.pending)}" if self.pending else ""
