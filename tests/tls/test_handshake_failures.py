"""Handshakes that fail or stall: an event and a DEBUG line, and nobody else notices."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from harness import Echo, client_of, receive_all, receive_exactly, wait_until

import trioserver
from trioserver import Outcome, RequestState, Timeout

from .kit import FakeServer, MemoryClient, reset_by, tls_client_of

if TYPE_CHECKING:
    from .kit import Certificates


async def never(request: Any, client_address: Any, server: Any) -> None:
    """A handler that must not be called."""
    raise AssertionError("called")


async def served(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
    """Says something, and goes on until the client is done."""
    await request.send_all(b"welcome")
    await request.receive_some()


def complete(endpoint: Any, client: MemoryClient) -> None:
    """Answer the server's flight."""
    said = bytes(endpoint.sent)
    endpoint.sent.clear()
    endpoint.feed(client.answer(said))


async def test_handshake_when_the_client_is_mute_then_it_ends_at_its_timeout(
    autojump_clock: trio.testing.MockClock,
    server_context: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After exactly 10 s, by default: one event that says which timeout it was, one line at DEBUG."""
    caplog.set_level(logging.DEBUG, "trioserver")
    server = FakeServer(never, ssl_context=server_context)
    async with server.running():
        endpoint = server.connect()
        await wait_until(lambda: server.requests)
        await trio.testing.wait_all_tasks_blocked()
        assert server.requests[0].state is RequestState.HANDSHAKE
        await server.wait_ended()
    (ended,) = server.ended()
    assert ended.duration == 10.0
    assert ended.outcome is Outcome.FAILED
    assert ended.timeouts == (Timeout.HANDSHAKE,)
    assert isinstance(ended.error, trioserver.HandshakeError)
    assert str(ended.error) == "the TLS handshake took longer than 10 s"
    assert isinstance(ended.error.__cause__, trioserver.StreamTimeout)
    assert endpoint.socket.closed
    assert server.handled == []
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert caplog.records[0].getMessage().endswith("the TLS handshake took longer than 10 s")


@pytest.mark.parametrize("timeout", [0.0, 3.5])
async def test_handshake_when_bytes_trickle_then_the_timeout_is_not_put_off(
    autojump_clock: trio.testing.MockClock,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    timeout: float,
) -> None:
    """It bounds the whole handshake, and a byte now and then does not begin it anew."""
    server = FakeServer(never, ssl_context=server_context, handshake_timeout=timeout)
    async with server.running():
        endpoint = server.connect()

        async def trickle() -> None:
            for byte in MemoryClient(client_context).hello():
                endpoint.feed(bytes([byte]))
                await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trickle)
            await server.wait_ended()
            nursery.cancel_scope.cancel()
    assert server.ended()[0].duration == timeout
    assert server.ended()[0].timeouts == (Timeout.HANDSHAKE,)


async def test_handshake_when_the_client_reads_nothing_then_it_ends_at_its_timeout(
    autojump_clock: trio.testing.MockClock, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Waiting for room is waiting, too."""
    server = FakeServer(never, ssl_context=server_context)
    async with server.running():
        endpoint = server.connect(MemoryClient(client_context).hello(), room=7)
        await server.wait_ended()
    assert len(endpoint.sent) == 7
    assert (server.ended()[0].duration, server.ended()[0].timeouts) == (10.0, (Timeout.HANDSHAKE,))


async def test_handshake_when_there_is_no_timeout_then_it_may_take_for_ever(
    autojump_clock: trio.testing.MockClock, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """``None`` is no bound; the client that comes back after an hour is served."""
    server = FakeServer(served, ssl_context=server_context, handshake_timeout=None)
    async with server.running():
        endpoint, client = server.connect(), MemoryClient(client_context)
        await trio.sleep(3600)
        endpoint.feed(client.hello())
        await trio.testing.wait_all_tasks_blocked()
        complete(endpoint, client)
        await trio.testing.wait_all_tasks_blocked()
        assert client.decrypt(bytes(endpoint.sent)) == b"welcome"


async def test_handshake_when_it_is_done_then_its_deadline_is_over(
    autojump_clock: trio.testing.MockClock, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """A connection that idles for longer than ``handshake_timeout`` later is left alone."""
    server = FakeServer(served, ssl_context=server_context)
    async with server.running():
        client = MemoryClient(client_context)
        endpoint = server.connect(client.hello())
        await trio.testing.wait_all_tasks_blocked()
        complete(endpoint, client)
        await trio.sleep(100)
        assert len(server.requests) == 1
        assert server.requests[0].timeouts == ()


async def test_handshake_when_one_stalls_then_it_counts_in_max_requests_and_the_others_are_served_after(
    autojump_clock: trio.testing.MockClock, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """P6: a client in its handshake is a request; at the limit the next one waits, for a bounded time."""
    server = FakeServer(served, ssl_context=server_context, max_requests=1, handshake_timeout=5)
    async with server.running():
        server.connect()
        client = MemoryClient(client_context)
        endpoint = server.connect(client.hello())
        await trio.sleep(4.9)
        assert len(server.requests) == 1
        assert endpoint.calls == []
        await trio.sleep(0.2)
        complete(endpoint, client)
        await trio.testing.wait_all_tasks_blocked()
        assert client.decrypt(bytes(endpoint.sent)) == b"welcome"


async def test_p8_handshakes_that_stall_hold_up_nobody(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Beside ten mute clients another one is served at once."""
    server = trioserver.TCPServer(("127.0.0.1", 0), Echo, ssl_context=server_context)
    async with server.running():
        async with trio.open_nursery() as nursery:

            async def mute() -> None:
                async with client_of(server):
                    await trio.sleep_forever()

            for _ in range(10):
                nursery.start_soon(mute)
            await wait_until(lambda: len(server.requests) == 10)
            async with tls_client_of(server, client_context) as client:
                await client.send_all(b"hello\n")
                assert await receive_exactly(client, 6) == b"hello\n"
            assert sum(r.state is RequestState.HANDSHAKE for r in server.requests) == 10
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "the TLS handshake failed: http request"),
        (b"EHLO mail.example\r\n", "the TLS handshake failed: wrong version number"),
        (b"", "the TLS handshake failed: the peer closed the connection"),
        (b"\x16\x03", "the TLS handshake failed: the peer closed the connection"),
    ],
)
async def test_handshake_when_the_client_sends_something_else_then_it_fails_in_openssls_words(
    io_path: str,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
    sent: bytes,
    says: str,
) -> None:
    """One line at DEBUG, `handle_error` is not called, and the server goes on."""
    caplog.set_level(logging.DEBUG, "trioserver")

    class Server(trioserver.TCPServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            raise SystemExit("an error stops this server")

    server = Server(("127.0.0.1", 0), Echo, ssl_context=server_context)
    errors: list[BaseException | None] = []
    server.add_observer(
        lambda event: errors.append(event.error) if isinstance(event, trioserver.RequestEnded) else None
    )
    async with server.running():
        async with client_of(server) as client:
            await client.send_all(sent or b"")
            await client.send_eof()
            await receive_all(client)
        await wait_until(lambda: errors)
        async with tls_client_of(server, client_context) as good:
            await good.send_all(b"hello\n")
            assert await receive_exactly(good, 6) == b"hello\n"
    assert str(errors[0]) == says
    assert isinstance(errors[0], trioserver.HandshakeError)
    assert isinstance(errors[0].__cause__, ssl.SSLError)
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert caplog.records[0].getMessage().endswith(says)


async def test_handshake_when_the_client_resets_then_it_fails(
    io_path: str, server_context: ssl.SSLContext
) -> None:
    """The cause is the broken connection."""
    errors: list[BaseException | None] = []
    server = trioserver.TCPServer(("127.0.0.1", 0), Echo, ssl_context=server_context)
    server.add_observer(
        lambda event: errors.append(event.error) if isinstance(event, trioserver.RequestEnded) else None
    )
    async with server.running():
        async with client_of(server) as client:
            await wait_until(lambda: server.requests)
            reset_by(client)
        await wait_until(lambda: errors)
    assert isinstance(errors[0], trioserver.HandshakeError)
    assert isinstance(errors[0].__cause__, trio.BrokenResourceError)


async def test_handshake_when_the_server_can_not_agree_then_the_client_gets_the_alert(
    io_path: str, certificates: Certificates
) -> None:
    """OpenSSL's alert gets through, though the client goes on sending."""
    context = certificates.server_context(version=ssl.TLSVersion.TLSv1_3)
    wish = certificates.client_context()
    wish.maximum_version = ssl.TLSVersion.TLSv1_2
    async with trioserver.TCPServer(("127.0.0.1", 0), Echo, ssl_context=context).running() as server:
        async with client_of(server) as plain:
            await plain.send_all(MemoryClient(wish).hello() + bytes(200_000))
            alert = await receive_all(plain)
    assert alert[0] == 21
    assert alert[-1] == 70  # protocol_version, RFC 8446 section 6.2
