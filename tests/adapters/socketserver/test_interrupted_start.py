"""What fails or is interrupted as serving begins does not leave the next one waiting."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from trioserver_adapters import socketserver

from .asking import Hello, ask, serving


def test_after_a_start_that_failed_the_next_one_serves(monkeypatch: Any) -> None:
    start = threading.Thread.start

    def fail(self: Any) -> None:
        if self.name.startswith("trioserver"):
            raise RuntimeError("can't start new thread")
        start(self)

    server = socketserver.TCPServer(("127.0.0.1", 0), Hello)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="new thread"):
            server.serve_forever()
    with serving(server):
        time.sleep(0.1)
        assert ask(server) == b"ok"


def test_an_interrupt_before_the_thread_exists_is_raised_as_it_is(monkeypatch: Any) -> None:
    from trioserver_adapters._socketserver import companion

    def interrupt(self: Any) -> None:
        raise KeyboardInterrupt

    with socketserver.TCPServer(("127.0.0.1", 0), Hello) as server:
        with monkeypatch.context() as patch:
            patch.setattr(companion._Background, "start", interrupt)
            with pytest.raises(KeyboardInterrupt):
                server.serve_forever()


def test_an_interrupt_as_serving_begins_does_not_leave_shutdown_waiting(monkeypatch: Any) -> None:
    clear = threading.Event.clear

    def clear_and_interrupt(self: Any) -> None:
        clear(self)
        if self is idle:
            raise KeyboardInterrupt  # a signal handler may, after any call

    with socketserver.TCPServer(("127.0.0.1", 0), Hello) as server:
        untyped: Any = server
        idle = untyped._BaseServer__is_shut_down
        with monkeypatch.context() as patch:
            patch.setattr(threading.Event, "clear", clear_and_interrupt)
            with pytest.raises(KeyboardInterrupt):
                server.serve_forever()
        thread = threading.Thread(target=server.shutdown, daemon=True)
        thread.start()
        thread.join(3)
        assert not thread.is_alive()
