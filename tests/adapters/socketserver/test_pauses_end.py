"""Pauses after errors end, however short the waits are, and whatever is waited for."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
import time
from typing import Any

import pytest

from trioserver_adapters import socketserver

from .asking import Hello, ask, serving


class Exhausted(socketserver.TCPServer):
    until = 0.0

    def get_request(self) -> Any:
        if time.monotonic() < self.until:
            raise OSError(24, "Too many open files")
        return super().get_request()


@pytest.mark.parametrize("timeout", [0, 0.005])
def test_a_pause_longer_than_the_timeout_of_handle_request_ends(timeout: Any) -> None:
    with Exhausted(("127.0.0.1", 0), Hello) as server:
        server.timeout = timeout
        server.until = time.monotonic() + 0.1
        with socket.create_connection(server.server_address, timeout=3) as client:
            end = time.monotonic() + 5
            client.setblocking(False)
            while time.monotonic() < end:
                server.handle_request()
                time.sleep(0.002)
                with contextlib.suppress(BlockingIOError):
                    assert client.recv(10) == b"ok"
                    return
    raise AssertionError("the request was never taken")


def test_a_pause_longer_than_the_poll_interval_ends() -> None:
    class Acting(Exhausted):
        def service_actions(self) -> None:
            pass

    server = Acting(("127.0.0.1", 0), Hello)
    server.until = time.monotonic() + 0.3
    with serving(server, 0.05):
        assert ask(server) == b"ok"


@pytest.mark.parametrize(("failures", "limit"), [(0, 2), (1, None)])
def test_a_regular_file_at_the_limit_or_after_an_error(failures: Any, limit: Any) -> None:
    left = [OSError(24, "Too many open files")] * failures
    served: list[Any] = []
    enough = threading.Event()

    class Lines(socketserver.ThreadingMixIn, socketserver.BaseServer):
        max_requests = limit

        def fileno(self) -> Any:
            return file.fileno()

        def get_request(self) -> Any:
            if left:
                raise left.pop()
            return [], None

        def finish_request(self, request: Any, client_address: Any) -> None:
            time.sleep(0.01)
            served.append(request)
            if len(served) == 10:
                self.request_shutdown()
                enough.set()

    with tempfile.TemporaryFile() as file, serving(Lines(None, Hello)):
        assert enough.wait(5)
