"""What one thread has seen is nothing for another."""

from __future__ import annotations

from typing import Any

from trioserver_adapters import socketserver

ADDRESS = ("127.0.0.1", 0)


def test_is_ready_when_another_thread_sees_a_request_then_this_one_does_not(monkeypatch: Any) -> None:
    """It would take it, and block, hearing of neither timeout nor shutdown."""
    from trioserver_adapters._socketserver import companion

    class Other(companion.Companion):
        _busy = property(lambda self: True, lambda self, value: None)

    server = socketserver.TCPServer(ADDRESS, lambda *args: None)
    with server:
        assert not Other(server).is_ready(server.fileno, lambda: False)
