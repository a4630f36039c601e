"""``starttls()``: a connection that begins in plain text and goes on encrypted, in place."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trio
import trio.testing
from harness import Recorder, client_of, receive_all, receive_exactly, wait_until

import trioserver
from trioserver import Timeout

from .kit import NAME, FakeServer, MemoryClient

ANY_PORT = ("127.0.0.1", 0)


def handler_class(context: ssl.SSLContext, **options: Any) -> type[trioserver.StreamRequestHandler]:
    """A line protocol with STARTTLS."""

    class Handler(trioserver.StreamRequestHandler):
        wbufsize = options.pop("wbufsize", 0)

        async def handle(self) -> None:
            async for line in self.rfile:
                if line == b"STARTTLS\n":
                    await self.wfile.write(b"go ahead\n")
                    await self.starttls(context, **options)
                else:
                    await self.wfile.write(line)

    return Handler


async def over_tls(plain: trio.SocketStream, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    """The client's side of the upgrade."""
    stream = trio.SSLStream(plain, context, server_hostname=NAME, https_compatible=True)
    await stream.do_handshake()
    return stream


@pytest.mark.parametrize("wbufsize", [0, 1000])
async def test_starttls_when_called_then_the_same_objects_go_on_encrypted(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext, wbufsize: int
) -> None:
    """``request``, ``rfile`` and ``wfile`` stay what they are; what was gathered goes out in plain text."""
    handler = handler_class(server_context, wbufsize=wbufsize)
    async with trioserver.TCPServer(ANY_PORT, handler).running(grace_period=1) as server:
        async with client_of(server) as plain:
            await plain.send_all(b"1\nSTARTTLS\n")
            assert await receive_exactly(plain, 11) == b"1\ngo ahead\n"
            client = await over_tls(plain, client_context)
            await client.send_all(b"2\n")
            assert await receive_exactly(client, 2) == b"2\n"
            assert server.statistics().bytes_received == len(b"1\nSTARTTLS\n2\n")


async def test_starttls_when_commands_came_before_the_handshake_then_they_are_not_taken_for_encrypted(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """CVE-2011-0411: what somebody else has put on the line ends the connection."""
    recorder = Recorder()
    server = trioserver.TCPServer(ANY_PORT, handler_class(server_context))
    server.add_observer(recorder)
    async with server.running(grace_period=1):
        async with client_of(server) as plain:
            await plain.send_all(b"STARTTLS\nDELETE\n")
            assert await receive_all(plain) == b"go ahead\n"
        await wait_until(lambda: not server.requests)
    (ended,) = (event for event in recorder.events if isinstance(event, trioserver.RequestEnded))
    assert isinstance(ended.error, trioserver.HandshakeError)
    assert str(ended.error) == "7 bytes of plain text came before the TLS handshake"


async def test_starttls_when_commands_come_right_after_then_they_are_not_taken_for_encrypted(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Nor what had arrived, and was not yet read: to OpenSSL it is no handshake."""
    server = FakeServer(handler_class(server_context))
    async with server.running():
        endpoint = server.connect(b"STARTTLS\n", b"DELETE\n" + MemoryClient(client_context).hello())
        await server.wait_ended()
    assert bytes(endpoint.sent).startswith(b"go ahead\n")
    assert [str(error) for error in server.handled] == ["the TLS handshake failed: wrong version number"]
    assert server.ended()[0].bytes_received == len(b"STARTTLS\n")


async def test_starttls_when_the_client_is_mute_then_it_ends_at_its_timeout(
    autojump_clock: trio.testing.MockClock, server_context: ssl.SSLContext
) -> None:
    """Exactly; the connection is closed, and the event says which timeout it was."""
    server = FakeServer(handler_class(server_context, timeout=4))
    async with server.running():
        endpoint = server.connect(b"STARTTLS\n")
        await server.wait_ended()
    (ended,) = server.ended()
    assert ended.duration == 4
    assert ended.timeouts == (Timeout.HANDSHAKE,)
    assert endpoint.socket.closed
    assert isinstance(server.handled[0], trioserver.HandshakeError)


async def run_in_handler(do: Any, *incoming: bytes) -> FakeServer:
    """Run ``do(request)`` in a handler without a socket, and return the server when it is done."""

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        await do(request)

    server = FakeServer(handler)
    async with server.running():
        server.connect(*incoming)
        await server.wait_ended()
    return server


async def test_starttls_when_it_is_a_tls_connection_then_runtime_error(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Once is enough."""
    raised: list[BaseException] = []

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        with pytest.raises(RuntimeError, match="TLS connection already") as caught:
            await request.starttls(server_context)
        raised.append(caught.value)
        await request.send_all(b"still works")

    server = trioserver.TCPServer(ANY_PORT, handler, ssl_context=server_context)
    async with server.running(grace_period=1):
        async with client_of(server) as plain:
            client = await over_tls(plain, client_context)
            assert await receive_all(client) == b"still works"
    assert len(raised) == 1


async def test_starttls_when_the_context_is_none_then_config_error_and_the_stream_is_as_before() -> None:
    """What can not work is refused before anything is sent."""

    async def do(request: trioserver.RequestStream) -> None:
        with pytest.raises(trioserver.ConfigError, match=r"ssl\.SSLContext"):
            await request.starttls("cert.pem")  # type: ignore[arg-type]
        with pytest.raises(trioserver.ConfigError, match="timeout"):
            await request.starttls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), timeout=-1)
        assert await request.receive_some() == b"plain"

    server = await run_in_handler(do, b"plain")
    assert server.handled == []


async def test_starttls_when_another_task_sends_then_it_is_refused(server_context: ssl.SSLContext) -> None:
    """Half of what it sends would be encrypted."""

    async def do(request: trioserver.RequestStream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request.send_all, b"x" * 100)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await request.starttls(server_context)
            nursery.cancel_scope.cancel()

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        await do(request)

    server = FakeServer(handler)
    async with server.running():
        server.connect(room=7)
        await server.wait_ended()
    assert server.handled == []


async def test_starttls_when_another_task_reads_then_it_is_refused(server_context: ssl.SSLContext) -> None:
    """It could take the client's first bytes."""

    async def do(request: trioserver.RequestStream) -> None:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await request.receive_some()

            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await request.starttls(server_context)

    server = await run_in_handler(do)
    assert server.handled == []


async def test_read_when_another_task_makes_the_handshake_then_it_is_refused_and_no_fault_of_the_peers(
    server_context: ssl.SSLContext,
) -> None:
    """A peer that is remembered as gone would not get the end of the reply."""

    async def do(request: trioserver.RequestStream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request.starttls, server_context)
            await trio.testing.wait_all_tasks_blocked()
            for read in (request.receive_some, request.wait_request):
                with pytest.raises(trio.BusyResourceError):
                    await read()
            assert request.peer_error is None
            assert not request.closed
            nursery.cancel_scope.cancel()

    server = await run_in_handler(do)
    assert server.handled == []


async def test_starttls_when_cancelled_then_the_connection_is_closed(server_context: ssl.SSLContext) -> None:
    """Nobody could make sense of what is left of a handshake."""

    async def do(request: trioserver.RequestStream) -> None:
        with trio.move_on_after(0):
            await request.starttls(server_context)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(request.starttls, server_context)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        assert request.closed

    server = await run_in_handler(do)
    assert server.handled == []


async def test_starttls_when_it_failed_then_nothing_goes_over_the_connection_any_more(
    server_context: ssl.SSLContext,
) -> None:
    """Neither encrypted nor in plain text."""

    async def do(request: trioserver.RequestStream) -> None:
        with pytest.raises(trioserver.HandshakeError):
            await request.starttls(server_context)
        with pytest.raises(trio.BrokenResourceError):
            await request.send_all(b"x")
        with pytest.raises(trio.BrokenResourceError):
            await request.receive_some()

    server = await run_in_handler(do, b"EHLO x\r\n", b"y")
    assert server.handled == []


async def test_starttls_when_another_task_closes_the_stream_then_it_is_closed_and_no_failure(
    server_context: ssl.SSLContext,
) -> None:
    """Our own doing is no HandshakeError."""

    async def do(request: trioserver.RequestStream) -> None:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await request.starttls(server_context)

            await trio.testing.wait_all_tasks_blocked()
            request.close()

    server = await run_in_handler(do)
    assert server.handled == []
