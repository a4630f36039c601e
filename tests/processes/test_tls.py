"""TLS: the handshake is made in the process."""

from __future__ import annotations

import os
import ssl
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trustme
from forking import Server, serving
from harness import client_of, receive_all, receive_exactly, wait_until

import trioserver
from trioserver import Outcome, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """One for the server, and one for a client that trusts it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


def secured(request: Any, client_address: Any, server: Any) -> None:
    """Tells what it got."""
    request.sendall(b"%s %s" % (type(request).__name__.encode(), request.version()[:4].encode()))


async def test_connection_when_secured_then_the_handler_gets_an_ssl_socket_and_the_client_a_clean_end(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], io_path: str
) -> None:
    """The end comes with ``close_notify``."""
    async with serving(secured, ssl_context=contexts[0]) as server, client_of(server) as raw:
        client = trio.SSLStream(raw, contexts[1], server_hostname="localhost", https_compatible=False)
        assert await receive_all(client) == b"SSLSocket TLSv"
        event = await server.wait_ended()
    assert (event.outcome, event.exit_status) == (Outcome.FINISHED, 0)


def abort(request: Any, client_address: Any, server: Any) -> None:
    """Is cut off in the middle."""
    request.sendall(b"r")
    request.recv(1)


async def test_connection_when_cancelled_then_the_client_can_tell_that_this_was_not_all(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """There is no ``close_notify`` then."""
    async with serving(abort, ssl_context=contexts[0]) as server, client_of(server) as raw:
        client = trio.SSLStream(raw, contexts[1], server_hostname="localhost", https_compatible=False)
        assert await receive_exactly(client, 1) == b"r"
        server.requests[0].cancel()
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some()
        assert (await server.wait_ended()).outcome is Outcome.CANCELLED


async def test_handshake_when_it_fails_then_is_an_event_and_a_line_at_debug(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], caplog: pytest.LogCaptureFixture
) -> None:
    """As with the other servers; the message says what was wrong, and `handle_error` is not called."""

    async def handle_error(request: object, client_address: object) -> None:
        raise AssertionError("this would stop the server")

    caplog.set_level("DEBUG", "trioserver")
    async with serving(secured, ssl_context=contexts[0]) as server:
        server.handle_error = handle_error  # type: ignore[method-assign]
        async with client_of(server) as client:
            await client.send_all(b"GET / HTTP/1.0\r\n\r\n")
            await receive_all(client)
        event = await server.wait_ended()
    assert event.outcome is Outcome.FAILED
    assert isinstance(event.error, trioserver.HandshakeError)
    assert "http request" in str(event.error)
    assert [(record.levelname, record.exc_info) for record in caplog.records] == [("DEBUG", None)]


def stall(client: trio.SocketStream) -> Callable[[], Any]:
    """A client that says nothing."""
    return trio.lowlevel.checkpoint


def drip(client: trio.SocketStream) -> Callable[[], Any]:
    """A client that sends a byte now and then."""

    async def send() -> None:
        await client.send_all(b"\x16")
        await trio.sleep(0.03)
        await client.send_all(b"\x03")

    return send


@pytest.mark.parametrize("client_does", [stall, drip])
async def test_handshake_when_it_takes_too_long_then_is_cut_off(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
    client_does: Callable[[trio.SocketStream], Callable[[], Any]],
) -> None:
    """The timeout is for the whole of it, and noted."""
    async with serving(secured, ssl_context=contexts[0], handshake_timeout=0.05) as server:
        async with client_of(server) as client:
            await client_does(client)()
            with trio.fail_after(1):
                assert await receive_all(client) == b""
                event = await server.wait_ended()
    assert isinstance(event.error, trioserver.HandshakeError)
    assert event.timeouts == (Timeout.HANDSHAKE,)
    assert 0.05 <= event.duration < 0.5


async def test_certificate_when_replaced_then_the_next_process_has_it(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """It is read at the fork."""
    server = Server(secured, ssl_context=ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
    async with server.running():
        for works in (False, True):
            async with client_of(server) as raw:
                client = trio.SSLStream(raw, contexts[1], server_hostname="localhost")
                if works:
                    assert await receive_all(client) == b"SSLSocket TLSv"
                else:
                    with pytest.raises(trio.BrokenResourceError):
                        await client.do_handshake()
            server.ssl_context = contexts[0]


async def test_process_when_it_sends_to_a_client_that_does_not_read_then_can_be_terminated(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """SIGTERM is an exception in ``sendall()``, too, with a record half sent."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        try:
            request.sendall(b"r" + b"x" * 20_000_000)
        except SystemExit:
            os._exit(7)

    async with serving(handler, ssl_context=contexts[0]) as server, client_of(server) as raw:
        client = trio.SSLStream(raw, contexts[1], server_hostname="localhost")
        assert await receive_exactly(client, 1) == b"r"
        (pid,) = server.active_children
        await wait_until(lambda: _sleeps(pid))
        server.requests[0].cancel()
        event = await server.wait_ended()
    assert (event.outcome, event.exit_status, event.timeouts) == (Outcome.CANCELLED, 7, ())


def _sleeps(pid: int) -> bool:
    """Whether it waits in a system call, as far as one can tell."""
    if sys.platform != "linux":
        time.sleep(0.2)
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


async def test_context_when_taken_from_the_class_then_nothing_is_served_in_plain_text(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """It is an error of the request's, as on the other servers."""

    class Secure(Server):
        ssl_context = contexts[0]

    async with Secure(lambda request, *_: request.sendall(b"secret")).running() as server:
        del Secure.ssl_context
        async with client_of(server) as client:
            assert await receive_all(client) == b""
        assert isinstance((await server.wait_ended()).error, trioserver.LifecycleError)
