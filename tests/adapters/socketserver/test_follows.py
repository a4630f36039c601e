"""The loop looks for the next request itself, for a moment after each: nobody may notice."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest

from trioserver_adapters._socketserver import companion, waiter

from .kit import ADDRESS, receive_all


def reply(request: Any, client_address: Any, server: Any) -> None:
    """A handler."""
    request.sendall(b"served")


@pytest.mark.parametrize("cls", ["TCPServer", "ThreadingTCPServer"])
def test_server_close_right_after_a_request_frees_the_port(
    module: Any, is_ours: bool, call: Any, cls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing waits for the look, which keeps the kernel's socket: the address can be bound at once."""
    if not is_ours:
        pytest.skip("the stdlib's goes on with a closed socket")
    monkeypatch.setattr(companion, "_FOLLOWS_WITHIN", 0.05)

    class Server(getattr(module, cls)):  # type: ignore[misc]
        allow_reuse_address = True

    for _ in range(5):
        server = Server(ADDRESS, reply)
        loop = call(server.serve_forever)
        with socket.create_connection(server.server_address, timeout=5) as client:
            assert receive_all(client) == b"served"
        address = server.server_address
        server.server_close()
        with socket.socket() as next_one:
            next_one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            next_one.bind(address)
            next_one.listen()
        loop.wait()


def test_requests_that_follow_at_once_do_not_ask_trio(
    module: Any, is_ours: bool, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that comes back as soon as it is served is found by a look, a few at the most excepted."""
    if not is_ours:
        pytest.skip("the stdlib has no trio to ask")
    monkeypatch.setattr(companion, "_FOLLOWS_WITHIN", 5.0)
    waits: list[object] = []
    wait = waiter.Waiter.wait

    def counting_wait(self: Any, *args: Any) -> Any:
        waits.append(self)
        return wait(self, *args)

    monkeypatch.setattr(waiter.Waiter, "wait", counting_wait)
    server = module.TCPServer(ADDRESS, reply)
    loop = call(server.serve_forever)
    for _ in range(20):
        with socket.create_connection(server.server_address, timeout=5) as client:
            assert receive_all(client) == b"served"
    assert len(waits) <= 1  # before the first
    monkeypatch.setattr(companion, "_FOLLOWS_WITHIN", 0.0)
    with contextlib.closing(socket.create_connection(server.server_address, timeout=5)) as client:
        assert receive_all(client) == b"served"
    call(server.shutdown).wait()
    loop.wait()
    server.server_close()
