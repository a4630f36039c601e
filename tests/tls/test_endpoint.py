"""`TLSEndpoint` by itself, where a real OpenSSL or a real peer can not be made to do what is to be seen."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trioserver._transports.endpoint import Endpoint
from trioserver._transports.socket_stream import SocketStream
from trioserver._transports.tls import TLSEndpoint, wrap_server

from ..transports.kit import FakeEndpoint
from .kit import MemoryClient

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class FakeSSL:
    """As much of an SSL object as is called, and what it would be hard to make OpenSSL do."""

    def __init__(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self.incoming, self.outgoing = incoming, outgoing

    def pending(self) -> int:
        """Nothing."""
        return 0

    def read(self, max_bytes: int) -> bytes:
        """Answer the peer, and have nothing for the application."""
        self.incoming.read()
        self.outgoing.write(b"answer")
        raise ssl.SSLWantReadError

    def write(self, data: ReadableBuffer) -> int:
        """Want to renegotiate."""
        raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)")


def on(inner: FakeEndpoint) -> SocketStream:
    """A stream over that, as if the handshake was done."""
    stream = SocketStream(inner)
    wrap: Any = FakeSSL
    tls = TLSEndpoint(inner, wrap)
    stream._go_over_to(tls)
    tls.established = True
    return stream


async def test_write_when_the_peer_wants_to_renegotiate_then_the_resource_is_broken() -> None:
    """It is not supported, and TLS 1.3 has no such thing; that stays so for reading."""
    stream = on(FakeEndpoint(b"x"))
    with pytest.raises(trio.BrokenResourceError, match="renegotiate, which is not supported"):
        await stream.send_all(b"x")
    with pytest.raises(trio.BrokenResourceError) as caught:
        await stream.receive_some()
    assert caught.value.__cause__ is stream.peer_error


async def test_read_when_an_answer_can_not_be_sent_then_the_reader_learns_of_the_reset() -> None:
    """What the kernel says but once is not lost because nobody was writing."""

    class Reset(FakeEndpoint):
        def send_nowait(self, data: ReadableBuffer) -> int:
            raise ConnectionResetError(errno.ECONNRESET, "reset")

    stream = on(Reset(b"x", b""))
    with pytest.raises(trio.BrokenResourceError, match="reset"):
        await stream.receive_some()


@pytest.mark.parametrize(
    ("how", "below"),
    [
        (socket.SHUT_WR, ["shutdown 1"]),
        (socket.SHUT_RD, ["shutdown 0"]),
        (socket.SHUT_RDWR, ["shutdown 1", "shutdown 0"]),
    ],
)
def test_shutdown_when_half_or_both_are_closed_then_so_it_is_below(how: int, below: list[str]) -> None:
    """As the contract of an endpoint says; a second time does no harm."""
    inner = FakeEndpoint()
    wrap: Any = FakeSSL
    endpoint = TLSEndpoint(inner, wrap)
    endpoint.shutdown(how)
    assert [call for call in inner.calls if call.startswith("shutdown")] == below
    endpoint.shutdown(socket.SHUT_WR)
    assert isinstance(endpoint, Endpoint)


async def test_unsent_bytes_when_ciphertext_waits_then_it_counts() -> None:
    """Closing in order waits for it, as for what the kernel has; where that is unknown, so is the sum."""
    inner = FakeEndpoint(room=2)
    stream = on(inner)
    assert stream._tls is not None
    stream._tls._outgoing.write(b"12345")
    inner.unsent = 7
    assert stream._tls.unsent_bytes() == 12
    stream._tls._push()
    assert stream._tls.unsent_bytes() == 10
    inner.unsent = None
    assert stream._tls.unsent_bytes() is None


async def test_end_when_it_was_read_then_it_stays_the_end(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """A ``close_notify`` comes once, and reading again gets the same answer, also after our own."""
    client = MemoryClient(client_context)
    inner = FakeEndpoint(client.hello())
    endpoint = TLSEndpoint(inner, wrap_server(server_context))
    assert endpoint.handshake() == inner.wait_readable
    inner.feed(client.answer(bytes(inner.sent)))
    assert endpoint.handshake() is None
    data = client.encrypt(b"bye")
    with pytest.raises(ssl.SSLWantReadError):
        client.ssl_object.unwrap()
    inner.feed(data + client.outgoing.read())
    assert endpoint.recv_nowait(100) == b"bye"
    for _ in range(2):
        assert endpoint.recv_nowait(100) == b""
    endpoint.shutdown(socket.SHUT_WR)
    for _ in range(2):
        assert endpoint.recv_nowait(100) == b""
        await endpoint.wait_readable()
    assert inner.calls.count("recv") == 4  # nothing is asked for below after that
