"""Other processes that take from the same listener."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any

import pytest

from trioserver_adapters import socketserver

from .asking import Hello, ask


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_child_forked_by_a_hook_goes_on_with_the_loop() -> None:
    class Forking(socketserver.TCPServer):
        child: Any = None

        def service_actions(self) -> None:
            if self.child is None:
                self.child = os.fork()
                if self.child:
                    self.request_shutdown()
                else:
                    timer = threading.Timer(5, os._exit, (3,))
                    timer.daemon = True
                    timer.start()

    server, parent = Forking(("127.0.0.1", 0), Hello), os.getpid()
    try:
        server.serve_forever(0.05)
    finally:
        if os.getpid() != parent:
            os._exit(0)
    time.sleep(0.3)  # the child waits
    try:
        assert ask(server) == b"ok"
    finally:
        os.kill(server.child, 9)
        os.waitpid(server.child, 0)
        server.server_close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_connection_that_somebody_else_has_taken_meanwhile_does_not_block(monkeypatch: Any) -> None:
    """As in prefork: all are woken, one is the first."""
    from trioserver_adapters._socketserver import waiter

    wait = waiter.Waiter.wait
    taken = threading.Event()

    def slow(self: Any, fd: Any, pause: Any = 0.0) -> Any:
        signal = wait(self, fd, pause)
        if signal is waiter.Signal.READY and not taken.is_set():
            server.socket.accept()[0].close()
            taken.set()
        return signal

    monkeypatch.setattr(waiter.Waiter, "wait", slow)
    server = socketserver.TCPServer(("127.0.0.1", 0), Hello)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    time.sleep(0.1)
    with socket.create_connection(server.server_address):
        assert taken.wait(5)
        time.sleep(0.1)
        stopper = threading.Thread(target=server.shutdown, daemon=True)
        stopper.start()
        stopper.join(3)
        stopped = not stopper.is_alive()
    if not stopped:
        socket.create_connection(server.server_address).close()
    thread.join(5)
    server.server_close()
    assert stopped
