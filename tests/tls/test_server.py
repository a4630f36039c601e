"""``ssl_context`` on a server: who gets what certificate, and what a handler can ask."""

from __future__ import annotations

import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import Echo, Recorder, receive_exactly, wait_until

import trioserver

from .kit import NAME, der_of, tls_client_of

if TYPE_CHECKING:
    from pathlib import Path

    from .kit import Certificates

ANY_PORT = ("127.0.0.1", 0)


async def asks(stream: trio.abc.Stream, line: bytes) -> bytes:
    """What a server that echoes lines answers."""
    await stream.send_all(line)
    return await receive_exactly(stream, len(line))


async def test_server_when_it_has_a_context_then_clients_speak_tls(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Lines go both ways, encrypted; the counts are those of the plain text."""
    server = trioserver.TCPServer(ANY_PORT, Echo, ssl_context=server_context)
    recorder = Recorder()
    server.add_observer(recorder)
    async with server.running(grace_period=1):
        async with tls_client_of(server, client_context) as client:
            assert await asks(client, b"hello\n") == b"hello\n"
            await client.aclose()
        await wait_until(lambda: server.statistics().finished)
    (ended,) = (event for event in recorder.events if isinstance(event, trioserver.RequestEnded))
    assert (ended.bytes_received, ended.bytes_sent, ended.outcome) == (6, 6, trioserver.Outcome.FINISHED)


async def test_unix_server_when_it_has_a_context_then_clients_speak_tls(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext, tmp_path: Path
) -> None:
    """It is an option of every stream server."""
    server = trioserver.UnixStreamServer(str(tmp_path / "socket"), Echo, ssl_context=server_context)
    async with server.running():
        async with tls_client_of(server, client_context) as client:
            assert await asks(client, b"hello\n") == b"hello\n"


async def test_handler_when_it_asks_then_it_sees_the_connections_tls(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """``request.ssl_object`` knows the version, the cipher and the channel's binding."""
    seen: list[Any] = []

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        assert request.ssl_object is not None
        seen.extend([request.ssl_object.version(), request.ssl_object.cipher()])
        await request.send_all(b".")

    async with trioserver.TCPServer(ANY_PORT, handler, ssl_context=server_context).running() as server:
        async with tls_client_of(server, client_context) as client:
            await client.receive_some()
            assert seen == [client.version(), client.cipher()]


async def test_handler_when_the_connection_is_plain_then_there_is_no_ssl_object() -> None:
    """``request.ssl_object`` is None without TLS."""
    from harness import client_of, receive_all

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        await request.send_all(repr(request.ssl_object).encode())

    async with trioserver.TCPServer(ANY_PORT, handler).running(grace_period=1) as server:
        async with client_of(server) as client:
            assert await receive_all(client) == b"None"


async def test_alpn_when_both_sides_know_a_protocol_then_the_handler_sees_it(
    certificates: Certificates,
) -> None:
    """The protocol that the client and the context agree on."""
    context, wish = certificates.server_context(), certificates.client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    wish.set_alpn_protocols(["unknown", "http/1.1"])

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        assert request.ssl_object is not None
        await request.send_all(str(request.ssl_object.selected_alpn_protocol()).encode())

    async with trioserver.TCPServer(ANY_PORT, handler, ssl_context=context).running() as server:
        async with tls_client_of(server, wish) as client:
            assert await client.receive_some() == b"http/1.1"


async def test_sni_when_the_callback_sets_another_context_then_the_client_gets_its_certificate(
    certificates: Certificates, client_context: ssl.SSLContext
) -> None:
    """As in the stdlib the callback gets the SSL object and the name, and may replace the context."""
    other = certificates.authority.issue_cert("other.example")
    contexts = {"other.example": certificates.server_context(other)}
    names: list[str | None] = []

    def choose(ssl_object: Any, name: str | None, context: ssl.SSLContext) -> None:
        assert isinstance(ssl_object, ssl.SSLObject)
        names.append(name)
        if name in contexts:
            ssl_object.context = contexts[name]

    context = certificates.server_context()
    context.sni_callback = choose
    async with trioserver.TCPServer(ANY_PORT, Echo, ssl_context=context).running() as server:
        for name, certificate in ((NAME, certificates.server), ("other.example", other)):
            async with tls_client_of(server, client_context, name) as client:
                assert client.getpeercert(binary_form=True) == der_of(certificate)
    assert names == [NAME, "other.example"]


async def test_client_certificate_when_it_is_required_and_given_then_the_handler_sees_it(
    certificates: Certificates,
) -> None:
    """Who the client is, from its certificate."""
    context, wish = certificates.server_context(), certificates.client_context()
    context.verify_mode = ssl.CERT_REQUIRED
    certificates.authority.configure_trust(context)
    certificates.authority.issue_cert("ann@example.org").configure_cert(wish)

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        assert request.ssl_object is not None
        certificate: Any = request.ssl_object.getpeercert()
        await request.send_all(certificate["subjectAltName"][0][1].encode())

    async with trioserver.TCPServer(ANY_PORT, handler, ssl_context=context).running() as server:
        async with tls_client_of(server, wish) as client:
            assert await client.receive_some() == b"ann@example.org"


async def test_client_certificate_when_it_is_required_and_missing_then_the_handshake_fails(
    certificates: Certificates,
) -> None:
    """The handler never sees such a client, and the client is told why by an alert."""
    context = certificates.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    recorder = Recorder()
    server = trioserver.TCPServer(ANY_PORT, Echo, ssl_context=context)
    server.add_observer(recorder)
    async with server.running(grace_period=1):
        async with tls_client_of(server, certificates.client_context()) as client:
            with pytest.raises(trio.BrokenResourceError) as caught:
                await client.receive_some()
    assert "CERTIFICATE_REQUIRED" in str(caught.value.__cause__)
    (ended,) = (event for event in recorder.events if isinstance(event, trioserver.RequestEnded))
    assert isinstance(ended.error, trioserver.HandshakeError)
    assert str(ended.error) == "the TLS handshake failed: peer did not return a certificate"


async def test_handle_request_when_it_has_a_context_then_that_one_is_served_over_tls(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """One request, the handshake included; serving may stop having TLS between two of them."""
    async with trioserver.TCPServer(ANY_PORT, Echo, ssl_context=server_context) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.handle_request)
            async with tls_client_of(server, client_context) as client:
                assert await asks(client, b"hello\n") == b"hello\n"
        assert server.statistics().finished == 1
        server.ssl_context = None


# Setting it.


async def test_context_when_replaced_while_serving_then_new_connections_get_the_new_certificate(
    io_path: str, certificates: Certificates, client_context: ssl.SSLContext
) -> None:
    """Renewal without a restart; the connection that is there goes on, with what it has."""
    renewed = certificates.authority.issue_cert(NAME)
    server = trioserver.TCPServer(ANY_PORT, Echo, ssl_context=certificates.server_context())
    async with server.running():
        async with tls_client_of(server, client_context) as old:
            assert await asks(old, b"1\n") == b"1\n"
            server.ssl_context = certificates.server_context(renewed)
            async with tls_client_of(server, client_context) as new:
                certificate = new.getpeercert(binary_form=True)
                assert certificate == der_of(renewed)
                assert await asks(old, b"2\n") == b"2\n"
                assert await asks(new, b"3\n") == b"3\n"


async def test_context_when_taken_away_while_serving_then_it_is_refused(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """TLS is never turned off silently."""
    server = trioserver.TCPServer(ANY_PORT, Echo, ssl_context=server_context)
    async with server.running():
        with pytest.raises(trioserver.LifecycleError, match="with TLS, and can not go on without"):
            server.ssl_context = None
        async with tls_client_of(server, client_context) as client:
            assert await asks(client, b"still\n") == b"still\n"
    server.ssl_context = None


async def test_context_when_its_attribute_is_deleted_while_serving_then_nobody_is_served_in_plain_text(
    server_context: ssl.SSLContext,
) -> None:
    """However it came about: connections that would be plain fail, and `handle_error` tells why."""
    from harness import client_of, receive_all

    errors: list[BaseException | None] = []

    class Server(trioserver.TCPServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            errors.append(sys.exception())

    server = Server(ANY_PORT, Echo, ssl_context=server_context)
    async with server.running(grace_period=1):
        del server.ssl_context
        async with client_of(server) as client:
            assert await receive_all(client) == b""
    assert [type(error) for error in errors] == [trioserver.LifecycleError]


async def test_context_when_given_to_a_plain_server_that_serves_then_it_is_refused(
    server_context: ssl.SSLContext,
) -> None:
    """Nor is it turned on; once the server has stopped it may be."""
    server = trioserver.TCPServer(ANY_PORT, Echo)
    async with server.running():
        with pytest.raises(trioserver.LifecycleError, match="without TLS, and can not go on with"):
            server.ssl_context = server_context
    server.ssl_context = server_context


@pytest.mark.parametrize("way", ["keyword", "class", "instance"])
async def test_context_when_set_in_any_way_then_it_is_used(
    way: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """As every option: on the class, on the instance, or as a keyword."""

    class Server(trioserver.TCPServer):
        if way == "class":
            ssl_context = server_context

    server = Server(ANY_PORT, Echo)
    if way == "keyword":
        server = Server(ANY_PORT, Echo, ssl_context=server_context)
    elif way == "instance":
        server.ssl_context = server_context
    async with server.running():
        async with tls_client_of(server, client_context) as client:
            assert await asks(client, b"hello\n") == b"hello\n"


@pytest.mark.parametrize("wrong", ["cert.pem", object(), True])
def test_context_when_it_is_none_then_config_error(wrong: Any) -> None:
    """A path, say, is refused, with what would be right."""
    with pytest.raises(trioserver.ConfigError, match=r"ssl_context must be an ssl\.SSLContext, or None"):
        trioserver.TCPServer(ANY_PORT, Echo, ssl_context=wrong)


def test_context_when_it_is_for_clients_then_config_error(client_context: ssl.SSLContext) -> None:
    """What ``ssl.create_default_context()`` makes is no use to a server; the message says what is."""
    with pytest.raises(trioserver.ConfigError, match=r"for clients.*Purpose\.CLIENT_AUTH"):
        trioserver.TCPServer(ANY_PORT, Echo, ssl_context=client_context)


@pytest.mark.parametrize("wrong", [-1, "10", True])
def test_handshake_timeout_when_it_is_no_time_then_config_error(wrong: Any) -> None:
    """Seconds, or None."""
    with pytest.raises(trioserver.ConfigError, match="handshake_timeout"):
        trioserver.TCPServer(ANY_PORT, Echo, handshake_timeout=wrong)


def test_import_when_nobody_speaks_tls_then_nothing_of_it_is_loaded() -> None:
    """Plain servers pay nothing for it, and an interpreter without ``ssl`` can have them."""
    program = (
        "import sys, trio\n"
        "for name in [name for name in sys.modules if name.split('.')[0] in ('ssl', '_ssl')]:\n"
        "    del sys.modules[name]\n"
        "import trioserver\n"
        "trioserver.TCPServer(('127.0.0.1', 0), trioserver.StreamRequestHandler)\n"
        "print([name for name in sys.modules if name in ('ssl', 'trioserver._transports.tls')])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
