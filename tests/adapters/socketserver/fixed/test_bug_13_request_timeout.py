"""Bug 13: the stdlib's timeouts end before a request begins; how long it may take nobody can say."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import pytest

from .kit import (
    SECONDS,
    ask,
    bounded,
    client_of,
    echo,
    echo_until_the_end,
    isolated,
    receive,
    serving,
    start,
    variant,
    wait_until,
)

ADDRESS = ("127.0.0.1", 0)
TIMEOUT = 0.05
NAMES = ["TCPServer", "ThreadingTCPServer", "ForkingTCPServer"]


@pytest.mark.parametrize("name", NAMES)
@isolated
def test_request_timeout_when_a_client_is_mute_then_its_request_ends(
    module: Any, patience: float, name: str
) -> None:
    """The handler's ``recv()`` ends, the client sees it, and the others are served."""
    with serving(server := variant(getattr(module, name), request_timeout=TIMEOUT)(ADDRESS, echo)):
        with client_of(server, patience) as mute:
            assert receive(mute) == b""
            assert ask(server, b"hello", patience) == b"hello"


@pytest.mark.parametrize("name", NAMES)
@isolated
def test_request_timeout_when_handle_request_is_called_then_holds_too(
    module: Any, patience: float, name: str
) -> None:
    """It bounds the request, as ``timeout`` bounds the wait for one."""
    with variant(getattr(module, name), request_timeout=TIMEOUT)(ADDRESS, echo) as server:
        with client_of(server, patience) as mute:
            bounded(patience, server.handle_request)
            assert receive(mute) == b""


@pytest.mark.parametrize("name", NAMES)
@isolated
def test_request_timeout_when_a_client_is_busy_then_is_for_the_whole_request(
    module: Any, patience: float, name: str
) -> None:
    """Not for each byte, as a timeout of the socket's is: a client that keeps on sending has no more time."""
    cls = variant(getattr(module, name), request_timeout=0.2)
    with serving(server := cls(ADDRESS, echo_until_the_end)):
        with client_of(server, patience) as client:
            until = time.monotonic() + patience
            with contextlib.suppress(ConnectionError):
                while time.monotonic() < until:
                    client.sendall(b"!")
                    if not receive(client):
                        break
            assert time.monotonic() < until


@isolated
def test_request_timeout_when_the_handler_sends_to_a_client_that_does_not_read_then_ends_it(
    module: Any, patience: float
) -> None:
    """Blocking writes end as reads do, in the handler by an error that it can see."""
    ended = threading.Event()

    def handler(request: Any, client_address: Any, server: Any) -> None:
        try:
            request.sendall(b"x" * 50_000_000)
        except OSError:
            ended.set()

    with serving(server := variant(module.TCPServer, request_timeout=TIMEOUT)(ADDRESS, handler)):
        with client_of(server):
            assert ended.wait(patience)


@isolated
def test_request_timeout_when_set_while_serving_then_holds_for_the_next_request(
    module: Any, patience: float
) -> None:
    """It is read from the server when a request begins."""
    with module.ThreadingTCPServer(ADDRESS, echo) as server:
        thread = start(server)
        with client_of(server, patience) as first:
            assert ask(server, b"hello") == b"hello"  # and so the first one has begun
            server.request_timeout = TIMEOUT
            with client_of(server, patience) as second:
                assert receive(second) == b""
            first.sendall(b"no timeout")
            assert receive(first) == b"no timeout"
        bounded(SECONDS, server.shutdown)
        bounded(SECONDS, thread.join)


@isolated
def test_request_timeout_when_a_child_hangs_then_it_is_terminated(module: Any, patience: float) -> None:
    """That of a forking server ends also when it does not look at its socket."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        request.sendall(b"begun")
        time.sleep(100)

    with serving(server := variant(module.ForkingTCPServer, request_timeout=0.2)(ADDRESS, handler)):
        with client_of(server, patience) as client:
            assert receive(client) == b"begun"
            assert receive(client) == b""
            wait_until(lambda: not server.active_children, patience)


@pytest.mark.parametrize("name", NAMES)
@isolated
def test_request_timeout_when_requests_are_quick_then_nothing_is_cut(either: Any, name: str) -> None:
    """The contract: one that ended in time leaves nothing that strikes a later one."""
    cls = variant(getattr(either, name), request_timeout=SECONDS)
    with serving(server := cls(ADDRESS, echo)):
        for number in range(20):
            assert ask(server, b"%d" % number) == b"%d" % number
