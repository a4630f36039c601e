"""TLS with threads: the handler gets an ``ssl.SSLSocket``, and the handshake is made in the thread."""

from __future__ import annotations

import logging
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import Recorder, client_of, receive_all, receive_exactly, wait_until

import trioserver

from ..tls.kit import Certificates, reset_by, tls_client_of
from .kit import Echo, Flag

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Any]


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    """An authority and a server's certificate."""
    return Certificates()


def ended(recorder: Recorder) -> list[trioserver.RequestEnded]:
    """The ends of requests."""
    return [event for event in recorder.events if isinstance(event, trioserver.RequestEnded)]


@pytest.mark.parametrize("daemon_threads", [False, True])
async def test_tls_when_the_handler_is_the_stdlibs_then_serves_unchanged(
    make: Make, certificates: Certificates, daemon_threads: bool
) -> None:
    """Its end comes with a close_notify: trio's stream does without one only where told so."""
    server = make(Echo, ssl_context=certificates.shared_server_context(), daemon_threads=daemon_threads)

    class FirstLine(Echo):
        def handle(self) -> None:
            assert isinstance(self.request, ssl.SSLSocket)
            assert self.request.version() is not None
            self.wfile.write(self.rfile.readline())

    server.RequestHandlerClass = FirstLine
    async with server.running(), client_of(server) as plain:
        context = certificates.shared_client_context()
        client = trio.SSLStream(plain, context, server_hostname="server.example", https_compatible=False)
        await client.send_all(b"hello\n")
        assert await receive_exactly(client, 6) == b"hello\n"
        assert await client.receive_some() == b""
        assert (await server.shutdown(None)).finished == 1


async def test_tls_when_the_reply_is_long_then_the_client_gets_all(
    make: Make, certificates: Certificates
) -> None:
    """With input that nobody read, too."""
    reply = b"x" * 3_000_000

    def handler(request: ssl.SSLSocket, client_address: Any, server: Any) -> None:
        request.sendall(reply)

    server = make(handler, ssl_context=certificates.shared_server_context())
    async with server.running():
        async with tls_client_of(server, certificates.shared_client_context()) as client:
            await client.send_all(b"not read")
            assert await receive_all(client) == reply


@pytest.mark.parametrize("daemon_threads", [False, True])
async def test_tls_when_a_client_says_nothing_then_the_handshake_ends_in_time(
    make: Make, certificates: Certificates, daemon_threads: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """P8: others are served meanwhile; it is an event and a line, and handle_error is not called."""
    caplog.set_level(logging.DEBUG, "trioserver")
    server, recorder = make(Echo, daemon_threads=daemon_threads), Recorder()
    server.ssl_context = certificates.shared_server_context()
    server.handshake_timeout = 0.2
    server.add_observer(recorder)
    async with server.running(), client_of(server) as mute:
        began = time.monotonic()
        async with tls_client_of(server, certificates.shared_client_context()) as client:
            await client.send_all(b"x\n")
            assert await receive_exactly(client, 2) == b"x\n"
        assert await receive_all(mute) == b""
        assert 0.2 <= time.monotonic() - began < 1.2
        await wait_until(lambda: len(ended(recorder)) == 2)
    await wait_until(lambda: server._limiter.borrowed_tokens == 0)  # or its descriptor may still be open
    failed = ended(recorder)[1]
    assert (failed.outcome, failed.timeouts) == (
        trioserver.Outcome.FAILED,
        (trioserver.Timeout.HANDSHAKE,),
    )
    assert isinstance(failed.error, trioserver.HandshakeError)
    assert [record.levelno for record in caplog.records if "longer than 0.2 s" in record.message] == [
        logging.DEBUG
    ]


@pytest.mark.parametrize("nonsense", [b"GET / HTTP/1.0\r\n\r\n", b"", None], ids=["plain", "end", "reset"])
async def test_tls_when_the_handshake_fails_then_it_is_a_line_and_the_others_go_on(
    make: Make, certificates: Certificates, nonsense: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that speaks something else, or nothing."""
    caplog.set_level(logging.DEBUG, "trioserver")
    server, recorder = make(Echo, ssl_context=certificates.shared_server_context()), Recorder()
    server.add_observer(recorder)
    async with server.running():
        async with client_of(server) as client:
            if nonsense is None:
                await client.send_all(b"\x16")
                reset_by(client)
            else:
                await client.send_all(nonsense)
                await client.send_eof()
                await receive_all(client)
        await wait_until(lambda: len(ended(recorder)) == 1)
        async with tls_client_of(server, certificates.shared_client_context()) as good:
            await good.send_all(b"x\n")
            assert await receive_exactly(good, 2) == b"x\n"
    assert isinstance(ended(recorder)[0].error, trioserver.HandshakeError)
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


@pytest.mark.parametrize("daemon_threads", [False, True])
@pytest.mark.parametrize("where", ["handshake", "handler"])
async def test_p1_when_cancelled_over_tls_then_the_thread_ends(
    make: Make, certificates: Certificates, where: str, daemon_threads: bool
) -> None:
    """Blocked in the handshake or in receiving; the descriptors are closed, each once."""
    server = make(Echo, ssl_context=certificates.shared_server_context(), daemon_threads=daemon_threads)
    async with server.running(), client_of(server) as plain:
        if where == "handshake":
            await wait_until(lambda: server._limiter.borrowed_tokens == 1)
        else:
            context = certificates.shared_client_context()
            client = trio.SSLStream(plain, context, server_hostname="server.example")
            await client.send_all(b"x\n")
            assert await receive_exactly(client, 2) == b"x\n"
        assert (await server.shutdown()).cancelled == 1
    await wait_until(lambda: server._limiter.borrowed_tokens == 0)


async def test_tls_when_process_request_does_not_call_the_handler_then_nothing_stays_open(
    make: Make, certificates: Certificates
) -> None:
    """The socket that the handshake was made on has no thread any more, and is closed with the request."""
    server = make(Echo, ssl_context=certificates.shared_server_context())

    async def skip(request: Any, client_address: Any) -> None:
        await trio.lowlevel.checkpoint()

    server.process_request = skip
    async with server.running():
        async with tls_client_of(server, certificates.shared_client_context()) as client:
            assert await client.receive_some() == b""


async def test_tls_when_the_client_breaks_the_connection_then_one_line_at_level_debug(
    make: Make, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """An ssl.SSLError of this connection: garbage in the place of a record."""
    caplog.set_level(logging.DEBUG, "trioserver")
    server = make(Echo, ssl_context=certificates.shared_server_context(), linger_timeout=0)
    async with server.running():
        async with tls_client_of(server, certificates.shared_client_context()) as client:
            await client.send_all(b"x\n")
            assert await receive_exactly(client, 2) == b"x\n"
            await client.transport_stream.send_all(b"garbage" * 100)
            await wait_until(lambda: server.statistics().failed == 1)
    assert [(record.levelno, record.exc_info) for record in caplog.records] == [(logging.DEBUG, None)]


async def test_tls_when_the_handler_makes_it_itself_then_works_as_in_the_stdlib(
    make: Make, certificates: Certificates
) -> None:
    """``wrap_socket`` takes the descriptor of the socket; the connection still ends with the request."""
    context = certificates.shared_server_context()
    served = Flag()

    class Upgrades(Echo):
        def setup(self) -> None:
            self.request = context.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            super().finish()
            self.request.close()
            served.set()

    server = make(Upgrades)
    async with server.running():
        async with tls_client_of(server, certificates.shared_client_context()) as client:
            await client.send_all(b"x\n")
            assert await receive_exactly(client, 2) == b"x\n"
            client.transport_stream.socket.shutdown(socket.SHUT_WR)
            await served.until_set()
        assert (await server.shutdown(None)).finished == 1
