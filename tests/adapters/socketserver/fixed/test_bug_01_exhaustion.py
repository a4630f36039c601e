"""Bug 1: at the limit of descriptors the stdlib's loop takes one core, and says nothing."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import threading
import time
from socket import SO_ACCEPTCONN, SOL_SOCKET
from typing import TYPE_CHECKING, Any

import pytest

from .kit import SECONDS, ask, bounded, client_of, echo, isolated, receive, serving, variant, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

resource = pytest.importorskip("resource")
MOMENT = 0.1
"""Seconds in which a server backs off at 0, 10, 30 and 70 ms."""
FEW = 6
"""As many, and two for luck. The stdlib's makes thousands of calls."""


def counting(base: Any, calls: list[int]) -> Any:
    """A class that counts the calls of ``get_request()``."""

    def get_request(self: Any) -> Any:
        calls.append(1)
        return base.get_request(self)

    return variant(base, get_request=get_request)


def failing(base: Any, calls: list[int], number: int, over: threading.Event) -> Any:
    """A class whose ``get_request()`` fails until it is over."""

    def get_request(self: Any) -> Any:
        calls.append(1)
        if not over.is_set():
            raise OSError(number, os.strerror(number))
        return base.get_request(self)

    return variant(base, get_request=get_request)


class Messages(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """The name is the stdlib's."""
        self.records.append(record)


@pytest.fixture
def messages() -> Iterator[list[logging.LogRecord]]:
    """What is logged as ``trioserver``."""
    handler = Messages()
    logger = logging.getLogger("trioserver")
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    yield handler.records
    logger.propagate = propagate
    logger.removeHandler(handler)


def connections() -> int:
    """How many sockets of this process are an end of one, or were until their peers were gone, too."""
    number = 0
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):
            one = socket.socket(fileno=int(name))
            try:
                number += one.family == socket.AF_INET and not one.getsockopt(SOL_SOCKET, SO_ACCEPTCONN)
            finally:
                one.detach()
    return number


def hoard() -> list[int]:
    """Open all the descriptors that there may be, which are few."""
    limit = 40 + max(int(name) for name in os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    opened: list[int] = []
    try:
        while True:
            opened.append(os.dup(0))
    except OSError:
        return opened


@pytest.mark.parametrize("name", ["TCPServer", "ThreadingTCPServer"])
@isolated
def test_server_when_no_descriptor_is_left_then_waits_for_one(
    module: Any, name: str, messages: list[logging.LogRecord]
) -> None:
    """RLIMIT_NOFILE is reached: few calls, one warning, and the client in the backlog is served later."""
    calls: list[int] = []
    server = counting(getattr(module, name), calls)(("127.0.0.1", 0), echo)
    with serving(server):
        others = connections()
        assert ask(server, b"before") == b"before"
        # That client may be answered, and gone, before its request has closed what is its own.
        wait_until(lambda: connections() == others)
        with socket.socket() as client:
            client.settimeout(SECONDS)
            opened = hoard()
            calls.clear()
            client.connect(server.server_address)
            wait_until(lambda: calls)
            time.sleep(MOMENT)
            assert len(calls) <= FEW
            wait_until(lambda: messages)
            assert [record.levelname for record in messages] == ["WARNING"]
            for fd in opened:
                os.close(fd)
            client.sendall(b"after")
            assert receive(client) == b"after"
    assert len(messages) == 1


@pytest.mark.parametrize("reason", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
def test_get_request_when_resources_run_out_then_is_called_less_and_less_often(
    module: Any, reason: str, messages: list[logging.LogRecord]
) -> None:
    """Whatever it is that has run out; and a shutdown is not held up by it."""
    calls: list[int] = []
    over = threading.Event()
    server = failing(module.TCPServer, calls, getattr(errno, reason), over)(("127.0.0.1", 0), echo)
    with serving(server):
        with client_of(server) as client:
            wait_until(lambda: calls)
            time.sleep(MOMENT)
            assert len(calls) <= FEW
            over.set()
            client.sendall(b"after")
            assert receive(client) == b"after"
        over.clear()
        with client_of(server):
            calls.clear()
            wait_until(lambda: calls)
            bounded(SECONDS, server.shutdown)
    assert "WARNING" in {record.levelname for record in messages}


def test_get_request_when_connections_are_broken_without_end_then_backs_off_too(module: Any) -> None:
    """Sixteen in a row may be; those after them are no longer the fault of clients: 10 ms each."""
    calls: list[int] = []
    over = threading.Event()
    server = failing(module.TCPServer, calls, errno.ECONNABORTED, over)(("127.0.0.1", 0), echo)
    with serving(server), client_of(server) as client:
        wait_until(lambda: len(calls) >= 16)
        time.sleep(MOMENT)
        assert len(calls) <= 16 + 2 * MOMENT / 0.01
        over.set()
        client.sendall(b"after")
        assert receive(client) == b"after"


def test_get_request_when_a_few_connections_are_broken_then_the_next_one_is_served(either: Any) -> None:
    """The contract: an ``OSError`` is nothing but a client that did not wait; nothing is logged."""
    calls: list[int] = []

    def get_request(self: Any) -> Any:
        calls.append(1)
        if len(calls) <= 10:
            raise OSError(errno.ECONNABORTED, "aborted")
        return either.TCPServer.get_request(self)

    server = variant(either.TCPServer, get_request=get_request)(("127.0.0.1", 0), echo)
    with serving(server):
        assert ask(server, b"hello") == b"hello"
    assert len(calls) == 11


@isolated
def test_handle_request_when_no_descriptor_is_left_then_times_out_as_ever(either: Any) -> None:
    """Not even for trio's thread there is one."""
    with either.TCPServer(("127.0.0.1", 0), echo) as server:
        server.timeout = 0.01
        timeouts: list[int] = []
        server.handle_timeout = lambda: timeouts.append(1)
        opened = hoard()
        try:
            server.handle_request()
        finally:
            for fd in opened:
                os.close(fd)
        server.handle_request()
    assert timeouts == [1, 1]
