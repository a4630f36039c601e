"""How a TLS connection ends: with ``close_notify`` and without, in order and not, on either side."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from harness import Recorder, client_of, receive_all, wait_until

import trioserver

from .kit import NAME, FakeServer, MemoryClient, reset_by, tls_client_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..transports.kit import FakeEndpoint
    from .kit import Certificates

ANY_PORT = ("127.0.0.1", 0)


class ReadAll(trioserver.StreamRequestHandler):
    """Reads up to the end, and answers with how much that was."""

    async def handle(self) -> None:
        count = 0
        while data := await self.request.receive_some():
            count += len(data)
        await self.wfile.write(b"%d" % count)


def ended(recorder: Recorder) -> trioserver.RequestEnded:
    """The only event of its kind."""
    (event,) = (event for event in recorder.events if isinstance(event, trioserver.RequestEnded))
    return event


async def strict_client(server: trioserver.StreamServer, context: ssl.SSLContext) -> Any:
    """A client that insists on ``close_notify``."""
    sock = trio.socket.socket(server.socket.family)
    await sock.connect(server.server_address)
    stream = trio.SSLStream(trio.SocketStream(sock), context, server_hostname=NAME)
    await stream.do_handshake()
    return stream


# The client's end.


async def test_end_when_the_client_just_closes_its_half_then_it_is_the_end_of_the_stream(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """By default, as with asyncio; and the reply to a half-closed connection still goes out."""
    server = trioserver.TCPServer(ANY_PORT, ReadAll, ssl_context=server_context)
    async with server.running(grace_period=1):
        async with tls_client_of(server, client_context) as client:
            await client.send_all(b"12345")
            await client.transport_stream.send_eof()
            assert await receive_all(client) == b"5"


async def test_end_when_ragged_ends_are_not_suppressed_then_the_resource_is_broken(
    io_path: str,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A handler then can not take a part for the whole; for the log it is one line at DEBUG."""
    caplog.set_level(logging.DEBUG, "trioserver")
    recorder = Recorder()
    server = trioserver.TCPServer(ANY_PORT, ReadAll, ssl_context=server_context, suppress_ragged_eofs=False)
    server.add_observer(recorder)
    async with server.running(grace_period=1):
        async with tls_client_of(server, client_context) as client:
            await client.send_all(b"12345")
            await client.transport_stream.send_eof()
            with pytest.raises(trio.BrokenResourceError):
                await receive_all(client)
                raise trio.BrokenResourceError  # its end is ragged, too, which this client allows
    error = ended(recorder).error
    assert isinstance(error, trio.BrokenResourceError)
    assert isinstance(error.__cause__, ssl.SSLEOFError)
    assert "without TLS's close_notify" in str(error)
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


async def test_end_when_the_client_says_close_notify_then_it_is_an_end_for_the_strict(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """With ``suppress_ragged_eofs=False``, too."""
    read = b""

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        nonlocal read
        read = await receive_all(request)

    server = trioserver.TCPServer(ANY_PORT, handler, ssl_context=server_context, suppress_ragged_eofs=False)
    async with server.running(grace_period=1):
        client = await strict_client(server, client_context)
        await client.send_all(b"12345")
        await client.aclose()
        await wait_until(lambda: not server.requests)
    assert server.statistics().finished == 1
    assert read == b"12345"


# Our end.


async def test_end_when_the_handler_returns_then_the_client_gets_close_notify(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """A client that insists on it sees the whole reply and the end; nobody waits for the client's."""

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        await request.send_all(b"x" * 1_000_000)

    server = trioserver.TCPServer(ANY_PORT, handler, ssl_context=server_context)
    async with server.running(grace_period=1):
        client = await strict_client(server, client_context)
        assert len(await receive_all(client)) == 1_000_000
        await trio.aclose_forcefully(client)
    assert server.statistics().finished == 1


@pytest.mark.parametrize("way", ["aclose", "send_eof", "gathered"])
async def test_end_when_the_handler_closes_then_the_client_gets_close_notify(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext, way: str
) -> None:
    """In whatever way a graceful end comes about, after all that was written."""

    class Handler(trioserver.StreamRequestHandler):
        wbufsize = 1000 if way == "gathered" else 0

        async def handle(self) -> None:
            await self.wfile.write(b"bye")
            if way == "aclose":
                await self.request.aclose()
            elif way == "send_eof":
                await self.request.send_eof()
                assert await self.request.receive_some() == b"see you"

    server = trioserver.TCPServer(ANY_PORT, Handler, ssl_context=server_context)
    async with server.running(grace_period=1):
        client = await strict_client(server, client_context)
        assert await receive_all(client) == b"bye"
        if way == "send_eof":
            await client.send_all(b"see you")
        await trio.aclose_forcefully(client)
        await wait_until(lambda: not server.requests)
    assert server.statistics().finished == 1


async def test_end_when_the_request_is_cancelled_then_there_is_no_close_notify(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """It is closed at once, and a client that insists can tell that it did not get everything."""
    server = trioserver.TCPServer(ANY_PORT, ReadAll, ssl_context=server_context)
    async with server.running():
        client = await strict_client(server, client_context)
        await wait_until(lambda: server.requests[0].state is trioserver.RequestState.RUNNING)
        server.requests[0].cancel()
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some()
        await trio.aclose_forcefully(client)


async def connected(server: FakeServer, context: ssl.SSLContext) -> tuple[FakeEndpoint, MemoryClient]:
    """A client of a server without sockets, the handshake done."""
    client = MemoryClient(context)
    endpoint = server.connect(client.hello())
    await trio.testing.wait_all_tasks_blocked()
    said = bytes(endpoint.sent)
    endpoint.sent.clear()
    endpoint.feed(client.answer(said))
    await trio.testing.wait_all_tasks_blocked()
    return endpoint, client


async def test_end_when_the_client_makes_no_room_then_close_notify_waits_for_linger_timeout(
    autojump_clock: trio.testing.MockClock, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Closing stays bounded by ``linger_timeout``."""

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        await request.receive_some()

    server = FakeServer(handler, ssl_context=server_context, linger_timeout=3)
    async with server.running():
        endpoint, client = await connected(server, client_context)
        endpoint.room = 0
        endpoint.unsent = 100
        endpoint.feed(client.encrypt(b"bye"))
        await server.wait_ended()
    assert server.ended()[0].duration == 3.0
    assert server.ended()[0].outcome is trioserver.Outcome.FINISHED


async def test_end_when_the_server_waits_for_no_answer_then_the_request_ends_at_once(
    autojump_clock: trio.testing.MockClock, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """A client that has everything and says nothing is not waited for."""

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        await request.send_all(b"bye")

    server = FakeServer(handler, ssl_context=server_context)
    async with server.running():
        endpoint, client = await connected(server, client_context)
        assert server.ended()[0].duration == 0.0
        assert client.decrypt(bytes(endpoint.sent)) == b"bye"
        assert client.ssl_object.read(1) == b""  # close_notify
        assert endpoint.calls[-3:] != []
        assert "shutdown 1" in endpoint.calls


# What a peer must not do.


@pytest.mark.parametrize("strict", [False, True])
async def test_garbage_when_it_comes_on_a_running_connection_then_the_resource_is_broken(
    io_path: str,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
    strict: bool,
) -> None:
    """Never an ``ssl.SSLError`` with a traceback; the client gets an alert."""
    caplog.set_level(logging.DEBUG, "trioserver")
    recorder = Recorder()
    server = trioserver.TCPServer(
        ANY_PORT, ReadAll, ssl_context=server_context, suppress_ragged_eofs=not strict
    )
    server.add_observer(recorder)
    async with server.running(grace_period=1):
        async with tls_client_of(server, client_context) as client:
            await client.send_all(b"fine")
            await client.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
            with pytest.raises(trio.BrokenResourceError) as caught:
                await client.receive_some()
    assert "ALERT_BAD_RECORD_MAC" in str(caught.value.__cause__)
    error = ended(recorder).error
    assert isinstance(error, trio.BrokenResourceError)
    assert str(error) == "the TLS connection is broken: decryption failed or bad record mac"
    assert isinstance(error.__cause__, ssl.SSLError)
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


async def test_garbage_when_the_handler_goes_on_writing_then_it_is_still_the_peers_doing(
    io_path: str,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each later error has the first one as its cause, which is how the log knows."""
    caplog.set_level(logging.DEBUG, "trioserver")

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        try:
            await request.receive_some()
        except trio.BrokenResourceError:
            await request.send_all(b"what?")

    server = trioserver.TCPServer(ANY_PORT, handler, ssl_context=server_context)
    async with server.running(grace_period=1):
        async with tls_client_of(server, client_context) as client:
            await client.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
            with pytest.raises(trio.BrokenResourceError):
                await client.receive_some()
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


@pytest.mark.parametrize("reads", [True, False])
async def test_reset_when_the_client_resets_then_the_resource_is_broken(
    io_path: str,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
    reads: bool,
) -> None:
    """In reading and in writing, also where ends without ``close_notify`` are suppressed."""
    caplog.set_level(logging.DEBUG, "trioserver")
    recorder = Recorder()

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        if reads:
            await request.receive_some()
        while True:
            await request.send_all(b"x" * 1000)

    server = trioserver.TCPServer(ANY_PORT, handler, ssl_context=server_context)
    server.add_observer(recorder)
    async with server.running(grace_period=1):
        async with client_of(server) as plain:
            client = trio.SSLStream(plain, client_context, server_hostname=NAME)
            await client.do_handshake()
            await wait_until(lambda: server.requests[0].state is trioserver.RequestState.RUNNING)
            reset_by(plain)
        await wait_until(lambda: not server.requests)
    assert isinstance(ended(recorder).error, trio.BrokenResourceError)
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


async def test_close_when_the_stream_is_closed_then_using_it_is_closed_and_not_broken(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """What was already decrypted is not given out either."""
    raised: list[type[BaseException]] = []

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        await request.receive_some(1)
        request.close()
        calls: list[Callable[[], Any]] = [
            request.receive_some,
            lambda: request.send_all(b"x"),
            request.send_eof,
            request.fill,
        ]
        for call in calls:
            try:
                await call()
            except trio.ClosedResourceError as error:
                raised.append(type(error))

    server = FakeServer(handler, ssl_context=server_context)
    async with server.running():
        endpoint, client = await connected(server, client_context)
        endpoint.feed(client.encrypt(b"12345") + client.encrypt(b"67890"))
        await server.wait_ended()
    assert raised == [trio.ClosedResourceError] * 4
    assert server.handled == []


async def test_write_when_the_client_asks_for_tls_1_2_then_all_of_it_works_the_same(
    io_path: str, certificates: Certificates
) -> None:
    """TLS 1.2 has its own way to end, and ends the same."""
    wish = certificates.client_context()
    wish.maximum_version = ssl.TLSVersion.TLSv1_2
    server = trioserver.TCPServer(ANY_PORT, ReadAll, ssl_context=certificates.server_context())
    async with server.running(grace_period=1):
        async with tls_client_of(server, wish) as client:
            await client.send_all(b"123")
            await client.transport_stream.send_eof()
            assert await receive_all(client) == b"3"


async def test_gathered_replies_when_cancelled_in_the_tls_layer_then_finish_sends_them(
    autojump_clock: trio.testing.MockClock, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Writes that have returned are kept: what was encrypted but found no room goes out with ``finish``."""

    class Handler(trioserver.StreamRequestHandler):
        wbufsize = 1_000_000
        finish_timeout = 7

        async def handle(self) -> None:
            await self.request.receive_some()
            await self.wfile.write(b"x" * 1000)
            await self.wfile.flush()

    server = FakeServer(Handler, ssl_context=server_context)
    async with server.running():
        endpoint, client = await connected(server, client_context)
        endpoint.room = 10
        endpoint.feed(client.encrypt(b"go"))
        await trio.testing.wait_all_tasks_blocked()
        server.requests[0].cancel()
        await trio.sleep(3)
        endpoint.make_room(10_000)
        ended = await server.wait_ended()
        assert client.decrypt(bytes(endpoint.sent)) == b"x" * 1000
    assert (ended.outcome, ended.duration) == (trioserver.Outcome.CANCELLED, 3)
