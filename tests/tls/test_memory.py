"""P9 over TLS: what a peer can make the TLS layer keep, and what an idle connection keeps."""

from __future__ import annotations

import ssl as ssl_module
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trioserver._transports import tls
from trioserver._transports.socket_stream import SocketStream

from ..transports.kit import FakeEndpoint
from .kit import FakeServer, MemoryClient

if TYPE_CHECKING:
    import ssl

    from trioserver._transports.tls import TLSEndpoint


async def established(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> tuple[SocketStream, FakeEndpoint, MemoryClient, TLSEndpoint]:
    """A stream on a fake endpoint, the handshake done."""
    client = MemoryClient(client_context)
    endpoint = FakeEndpoint(client.hello())
    stream = SocketStream(endpoint)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            await stream.starttls(server_context, timeout=None)

        await trio.testing.wait_all_tasks_blocked()
        endpoint.feed(client.answer(bytes(endpoint.sent)))
    endpoint.sent.clear()
    assert stream._tls is not None
    return stream, endpoint, client, stream._tls


async def test_p9_a_peer_that_does_not_read_makes_a_large_write_wait(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Of megabytes that are sent, no more than a few records are encrypted ahead."""
    stream, endpoint, _, endpoint_tls = await established(server_context, client_context)
    endpoint.room = 1000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, bytes(10_000_000))
        await trio.testing.wait_all_tasks_blocked()
        assert len(endpoint.sent) == 1000
        assert stream.bytes_sent == tls.ENCRYPT_BYTES
        kept = len(endpoint_tls._pending) + endpoint_tls._outgoing.pending
        assert tls.ENCRYPT_BYTES < kept + 1000 < tls.ENCRYPT_BYTES + 1000
        nursery.cancel_scope.cancel()


async def test_p9_an_idle_connection_keeps_no_buffer_of_its_writes(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Once everything is out nothing of it is kept, not even by a view of nothing."""
    stream, _, _, endpoint_tls = await established(server_context, client_context)
    await stream.send_all(bytes(1_000_000))
    assert endpoint_tls._pending.obj == b""
    assert endpoint_tls._outgoing.pending == 0


async def test_p9_input_is_not_decrypted_ahead_of_its_reader(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """What comes stays below until it is asked for: one receive at a time is taken in."""
    stream, endpoint, client, endpoint_tls = await established(server_context, client_context)
    endpoint.feed(client.encrypt(bytes(1_000_000)))
    await stream.receive_some(10)
    assert stream.buffer.size == 0
    assert endpoint_tls._incoming.pending <= tls.FEED_BYTES
    await stream.send_eof()  # which has to take all of that out
    assert len(endpoint_tls._kept) <= tls.FEED_BYTES
    received = 10
    while received < 1_000_000:
        received += len(await stream.receive_some())


async def test_p10_records_without_data_do_not_keep_the_others_waiting(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """However many come, one call takes in a few receives of them."""
    stream, endpoint, client, _ = await established(server_context, client_context)
    record = client.encrypt(bytes(16000))
    for part in range(0, len(record), 100):  # a record in pieces is no data until it is complete
        endpoint.feed(record[part : part + 100])
    endpoint.calls.clear()
    with pytest.raises(BlockingIOError):
        assert stream._tls is not None
        stream._tls.recv_nowait(100)
    assert endpoint.calls.count("recv") <= 4
    assert len(await stream.receive_some()) == 16000


async def test_p10_a_large_write_that_never_has_to_wait_lets_the_others_run(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Encryption goes on for a budget of pieces, then others have their turn, and it can be cancelled."""
    stream, _, _, _ = await established(server_context, client_context)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, bytes(20_000_000))
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            scope.cancel()
    assert 0 < stream.bytes_sent <= 3 * 17 * tls.ENCRYPT_BYTES


@pytest.mark.parametrize(
    "end", ["http", "mute", "reset", "bad record", "ragged", "close_notify", "cancelled"]
)
async def test_p9_nothing_is_kept_of_connections_that_have_ended(
    autojump_clock: trio.testing.MockClock,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    end: str,
) -> None:
    """However they ended, without the garbage collector: a flood of failing handshakes piles up nothing."""
    alive: weakref.WeakSet[Any] = weakref.WeakSet()

    class Server(FakeServer):
        async def get_request(self) -> tuple[Any, Any]:
            request, client_address = await super().get_request()
            alive.add(request)
            return request, client_address

        async def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        while await request.receive_some():
            pass
        request.close()

    server = Server(handler, ssl_context=server_context)
    server.remove_observer(server.recorder)  # which keeps events, which have errors, which have tracebacks
    async with server.running():
        for _ in range(5):
            await connect_and_end(server, MemoryClient(client_context), end)
        await trio.sleep(30)  # the heap of deadlines keeps a few that are not due
        assert server.requests == ()
        server.connect()  # in place of the last one in the accept loop's own variables
        await trio.sleep(0.5)
        assert len(alive) <= 2  # this one, and the last one that the deadline watch looked at


async def connect_and_end(server: FakeServer, client: MemoryClient, end: str) -> None:
    """One connection that comes to this end."""
    if end in ("http", "mute", "reset"):
        first: dict[str, list[bytes | OSError]] = {
            "http": [b"GET / HTTP/1.0\r\n\r\n"],
            "mute": [],
            "reset": [ConnectionResetError(104, "reset")],
        }
        server.connect().feed(*first[end])
        await trio.sleep(0.1)
        return
    endpoint = server.connect(client.hello())
    await trio.sleep(0.1)
    endpoint.feed(client.answer(bytes(endpoint.sent)))
    await trio.sleep(0.1)
    if end == "cancelled":
        server.requests[-1].cancel()
    elif end == "bad record":
        endpoint.feed(b"\x17\x03\x03\x00\x20" + bytes(32))
    elif end == "ragged":
        endpoint.feed(b"")
    else:
        with pytest.raises(ssl_module.SSLWantReadError):
            client.ssl_object.unwrap()
        endpoint.feed(client.outgoing.read())
    await trio.sleep(0.1)
