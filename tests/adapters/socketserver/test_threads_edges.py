"""Threads beside forks, wrapped requests, handlers that close, and a close at a bad moment."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import Any

import pytest

from trioserver_adapters import socketserver

from .asking import Hello, ask, serving


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_does_not_give_requests_to_its_parents_idle_threads() -> None:
    class Reusing(socketserver.ThreadingTCPServer):
        reuse_threads = True

    server = Reusing(("127.0.0.1", 0), Hello)
    with serving(server):
        assert ask(server) == b"ok"
        time.sleep(0.05)  # the thread is idle
        server.shutdown()
        if not (pid := os.fork()):
            try:
                timer = threading.Timer(10, os._exit, (3,))
                timer.daemon = True
                timer.start()
                server.handle_request()
                time.sleep(0.2)
            finally:
                os._exit(0)
        try:
            assert ask(server) == b"ok"
        finally:
            os.waitpid(pid, 0)


class Counting(socketserver.ThreadingMixIn):
    max_requests = 2
    now = most = 0
    lock = threading.Lock()

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.2)
        with self.lock:
            self.now -= 1


def test_a_request_that_a_subclass_wraps_counts_once() -> None:
    class Wrapping(Counting, socketserver.TCPServer):
        def process_request_thread(self, request: Any, client_address: Any) -> None:
            wrapped = socket.socket(fileno=request.detach())
            super().process_request_thread(wrapped, client_address)

    server = Wrapping(("127.0.0.1", 0), Hello)
    with serving(server), contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(socket.create_connection(server.server_address))
        time.sleep(0.7)
    assert server.most == 2


def test_requests_that_are_one_object_count_each() -> None:
    class Same(Counting, socketserver.BaseServer):
        def fileno(self) -> Any:
            return reader

        def get_request(self) -> Any:
            os.read(reader, 1)
            return None, None

    reader, writer = os.pipe()
    server = Same(None, Hello)
    with serving(server):
        os.write(writer, b"123456")
        time.sleep(0.5)
    os.close(reader)
    os.close(writer)
    assert server.most == 2


@pytest.mark.parametrize("block", [True, False])
def test_a_handler_that_closes_its_server_with_a_grace_period_does_not_wait_for_itself(block: Any) -> None:
    ended = threading.Event()
    errors: list[Any] = []

    class Closing(socketserver.BaseRequestHandler):
        server: Any

        def handle(self) -> None:
            try:
                self.server.server_close(0.1)
            except RuntimeError as error:  # of join(), as in the standard library
                errors.append(error)
            ended.set()

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Closing)
    server.block_on_close = block
    with serving(server), socket.create_connection(server.server_address):
        assert ended.wait(5)
    assert len(errors) == block


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("by", ["request_timeout", "grace_period"])
def test_a_request_that_its_handler_has_wrapped_is_shut_down(threads: Any, by: Any) -> None:
    ended, begun = threading.Event(), threading.Event()

    class Wrapping(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(fileno=self.request.detach()) as wrapped:  # as SSLContext.wrap_socket does
                begun.set()
                wrapped.recv(1)
            ended.set()

    if by == "grace_period" and not threads:
        pytest.skip("has none")
    kind = socketserver.ThreadingTCPServer if threads else socketserver.TCPServer
    server: Any = kind(("127.0.0.1", 0), Wrapping)
    if by == "request_timeout":
        server.request_timeout = 0.2
    with serving(server), socket.create_connection(server.server_address):
        assert begun.wait(5)
        if by == "grace_period":
            server.server_close(0.1)
        assert ended.wait(5)


def test_closing_between_the_making_and_the_start_of_a_thread(monkeypatch: Any) -> None:
    start = threading.Thread.start
    about_to = threading.Event()

    def slow(self: Any) -> None:
        if "process_request_thread" in self.name:
            about_to.set()
            time.sleep(0.2)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", slow)
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Hello)
    with serving(server), socket.create_connection(server.server_address):
        assert about_to.wait(5)
        server.server_close()
        assert len(server._threads) == 0
