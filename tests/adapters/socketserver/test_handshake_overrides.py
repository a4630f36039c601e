"""Programs that override what a deferred handshake goes through get one that is done."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest
import trustme

from trioserver_adapters import socketserver

from .asking import serving


@pytest.fixture
def contexts() -> Any:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


class Version(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(str(self.request.version()).encode())


def ask_tls(server: Any, context: Any) -> Any:
    with (
        socket.create_connection(server.server_address, timeout=3) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        return client.recv(100)


def test_an_override_of_process_request_thread_gets_a_connection_after_its_handshake(contexts: Any) -> None:
    class Own(socketserver.ThreadingTCPServer):
        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                self.finish_request(request, client_address)
            finally:
                self.shutdown_request(request)

    server = Own(("127.0.0.1", 0), Version)
    server.socket = contexts[0].wrap_socket(server.socket, server_side=True)
    with serving(server), socket.create_connection(server.server_address):  # which is mute
        assert ask_tls(server, contexts[1]).startswith(b"TLS")


def test_an_override_of_accept_is_called(contexts: Any) -> None:
    calls: list[Any] = []

    class Listener(ssl.SSLSocket):
        def accept(self) -> Any:
            calls.append(self)
            return super().accept()

    contexts[0].sslsocket_class = Listener
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Version)
    server.socket = contexts[0].wrap_socket(server.socket, server_side=True)
    with serving(server):
        assert ask_tls(server, contexts[1]).startswith(b"TLS")
    assert calls
