"""Bug 4: where the listener is wrapped in TLS, the loop waits for the handshake of each client."""

from __future__ import annotations

import ssl
import threading
from typing import Any

import pytest
import trustme

from .kit import client_of, echo, isolated, receive, receive_all, serving, variant

ADDRESS = ("127.0.0.1", 0)


class Contexts:
    """The server's and the client's."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(self.server)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)


@pytest.fixture(scope="module")
def contexts() -> Contexts:
    """Made once: it takes longer than the tests."""
    return Contexts()


def make(base: Any, contexts: Contexts, handler: Any = echo, **options: Any) -> Any:
    """A server whose listener is wrapped, as programs do it since they had to."""
    server = variant(base, **options)(ADDRESS, handler)
    server.socket = contexts.server.wrap_socket(server.socket, server_side=True)
    return server


def ask_over_tls(server: Any, contexts: Contexts, data: bytes, seconds: float = 10) -> bytes:
    """Connect, send and receive; AssertionError if nothing comes."""
    with client_of(server, seconds) as plain:
        try:
            client = contexts.client.wrap_socket(plain, server_hostname="127.0.0.1")
        except TimeoutError:
            raise AssertionError("nobody takes part in the handshake") from None
        with client:
            client.sendall(data)
            return receive(client)


@isolated
def test_handshake_when_a_client_is_mute_then_others_are_served(
    module: Any, patience: float, contexts: Contexts
) -> None:
    """Several of them, at first: each has a thread of its own, that waits, not the loop."""
    server = make(module.ThreadingTCPServer, contexts)
    with serving(server):
        mute = [client_of(server) for _ in range(5)]
        for number in range(3):
            data = b"%d" % number
            assert ask_over_tls(server, contexts, data, patience) == data
        for client in mute:
            client.close()


@isolated
def test_handshake_when_a_client_is_mute_then_shutdown_is_not_held_up(
    module: Any, patience: float, contexts: Contexts
) -> None:
    """Nor is it by one that sends half of what it should; ``server_close()`` ends with them."""
    server = make(module.ThreadingTCPServer, contexts, grace_period=0.05)
    with client_of(server), client_of(server) as slow:
        slow.sendall(b"\x16\x03\x01")
        with serving(server):
            assert ask_over_tls(server, contexts, b"hello", patience) == b"hello"


@isolated
def test_handshake_timeout_when_it_has_passed_then_the_connection_is_closed(
    module: Any, patience: float, contexts: Contexts
) -> None:
    """The mute client's; without a report, as errors of the handshake never had one."""
    reports: list[object] = []
    server = make(
        module.ThreadingTCPServer,
        contexts,
        handshake_timeout=0.1,
        handle_error=lambda self, *args: reports.append(args),
    )
    with serving(server), client_of(server, patience) as client:
        assert receive(client) == b""
    assert reports == []


@isolated
def test_handshake_when_it_fails_then_the_connection_is_closed_in_silence(
    module: Any, patience: float, contexts: Contexts
) -> None:
    """Also while a mute client waits; no handler is made, and ``handle_error()`` is not called."""
    calls: list[object] = []

    def handler(request: Any, client_address: Any, server: Any) -> None:
        calls.append("handler")
        echo(request, client_address, server)

    server = make(
        module.ThreadingTCPServer, contexts, handler, handle_error=lambda self, *args: calls.append(args)
    )
    with serving(server):
        with client_of(server), client_of(server, patience) as plain:
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
            receive_all(plain)  # perhaps an alert
            assert calls == []
            assert ask_over_tls(server, contexts, b"hello", patience) == b"hello"
    assert calls == ["handler"]


@isolated
def test_handshake_when_a_handler_runs_then_it_is_over(
    module: Any, patience: float, contexts: Contexts
) -> None:
    """What a handler finds is what it has always found: a connection that is ready, and blocks."""
    found: list[tuple[Any, Any]] = []

    def handler(request: Any, client_address: Any, server: Any) -> None:
        found.append((request.version(), request.gettimeout()))
        echo(request, client_address, server)

    server = make(module.ThreadingTCPServer, contexts, handler)
    with serving(server), client_of(server):
        assert ask_over_tls(server, contexts, b"hello", patience) == b"hello"
    assert found == [("TLSv1.3", None)]


@pytest.mark.parametrize("hook", ["get_request", "verify_request", "process_request"])
@isolated
def test_handshake_when_a_hook_before_the_thread_is_overridden_then_it_is_over_there(
    either: Any, contexts: Contexts, hook: str
) -> None:
    """The contract: what is overridden may look at the client's certificate, so nothing is put off."""
    base = either.ThreadingTCPServer
    found: list[str | None] = []

    def method(self: Any, *args: Any) -> Any:
        result = None
        if hook == "get_request":
            args = result = base.get_request(self)
        found.append(args[0].version())
        return result or getattr(base, hook)(self, *args)

    server = make(base, contexts, **{hook: method})
    with serving(server):
        assert ask_over_tls(server, contexts, b"hello") == b"hello"
    assert found == ["TLSv1.3"]


@pytest.mark.parametrize("options", [{"defer_handshake": False}, {"get_request": None}])
@isolated
def test_handshake_when_not_put_off_then_it_is_in_the_thread_of_the_loop(
    either: Any, contexts: Contexts, options: dict[str, Any]
) -> None:
    """The contract: turned off, or with a ``get_request()`` of one's own, a mute client is waited for."""
    base = either.ThreadingTCPServer
    if "get_request" in options:
        options = {"get_request": lambda self: base.get_request(self)}
    server = make(base, contexts, **options)
    replies: list[bytes] = []

    def other() -> None:
        replies.append(ask_over_tls(server, contexts, b"hello"))

    with serving(server):
        with client_of(server):
            waiting = threading.Thread(target=other, daemon=True)
            waiting.start()
            waiting.join(0.1)
            assert not replies
        waiting.join(10)  # after the mute one has gone
        assert replies == [b"hello"]
