"""B49 and B53: what a request does in the parent, and what it does in the child."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ..kit import ADDRESS, receive_all, recording

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Journal

    Make = Callable[..., Any]
    Connect = Callable[..., socket.socket]
    Noting = Callable[..., Any]

CLASSES = (
    "ForkingTCPServer",
    "ForkingUDPServer",
    "ForkingUnixStreamServer",
    "ForkingUnixDatagramServer",
)


@pytest.mark.parametrize("name", CLASSES)
def test_b49_a_request_is_served_by_a_child_of_this_process(
    module: Any, make: Make, serving: Any, connect: Connect, tmp_path: Path, name: str
) -> None:
    """Each by another one, for all kinds of sockets."""
    if not hasattr(module, name):
        pytest.skip("since Python 3.12")

    def handler(request: Any, client_address: Any, server: Any) -> None:
        reply = b"%d %d" % (os.getpid(), os.getppid())
        if isinstance(request, tuple):
            request[1].sendto(reply, client_address)
        else:
            request.sendall(reply)

    unix, datagrams = "Unix" in name, "UDP" in name or "Datagram" in name
    server = make(name, handler, str(tmp_path / "server") if unix else ADDRESS)
    children = set()
    with serving(server):
        for number in range(2):
            client = connect(server, str(tmp_path / f"{number}") if unix and datagrams else None)
            if datagrams:
                client.send(b"x")
            child, parent = map(int, client.recv(100).split())
            assert parent == os.getpid()
            children.add(child)
    assert len(children - {os.getpid()}) == 2


def test_b49_the_child_is_remembered_and_the_request_closed(
    module: Any, make: Make, connect: Connect, ready_then_wait: Any
) -> None:
    """``active_children`` is None before, then a set of ids; the parent's part is over at once."""
    server = make(recording(module.ForkingTCPServer), ready_then_wait)
    client = connect(server)
    assert (server.active_children, server.handle_request()) == (None, None)
    children: Any = server.active_children
    assert type(children) is set
    assert children == {int(client.recv(100))}
    other = connect(server)
    server.handle_request()
    assert server.active_children is children
    assert len(children) == 2
    assert int(other.recv(100)) in children
    for each in (client, other):
        each.send(b"x")
    server.server_close()
    assert not server.active_children


def test_b49_the_parent_closes_and_the_child_serves(
    module: Any, make: Make, connect: Connect, noting: Noting, journal: Journal
) -> None:
    """Which hook is called where, in order; B53: the parent closes its copy, and does not shut down."""

    def handler(request: Any, *args: Any) -> None:
        journal.note("handle")

    server = make(noting(module.ForkingTCPServer), handler)
    client = connect(server)
    server.handle_request()
    assert receive_all(client) == b""
    child = ["finish_request", "handle", "shutdown_request", "close_request", "exit 0"]
    assert journal.of_children() == child
    assert journal.of_parent() == ["get_request", "verify_request", "process_request", "close_request"]


def test_b49_the_child_is_forked_by_the_thread_that_serves(
    make: Make, serving: Any, connect: Connect
) -> None:
    """So its handler sees that thread, as the only one of its process, and its thread locals."""
    local = threading.local()

    def verify_request(*args: Any) -> bool:
        local.here = 7
        return True

    def handler(request: Any, *args: Any) -> None:
        request.sendall(b"%d %d %d" % (threading.get_ident(), threading.active_count(), local.here))

    server = make("ForkingTCPServer", handler)
    server.verify_request = verify_request
    with serving(server) as loop:
        assert receive_all(connect(server)) == b"%d 1 7" % loop.ident


def test_b49_a_fork_that_fails_is_an_error_of_the_request(
    module: Any, make: Make, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reported, and the client is let go; there is no child to remember."""

    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "no more processes")

    server = make(recording(module.ForkingTCPServer, handle_error=lambda self, *args: None), None)
    client = connect(server)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fork", fork)
        server.handle_request()
    assert receive_all(client) == b""
    report, *rest = [call for call in server.calls if call.name not in ("server_bind", "server_activate")][3:]
    assert (report.name, type(report.error)) == ("handle_error", BlockingIOError)
    assert [call.name for call in rest] == ["shutdown_request", "close_request"]
    assert not server.active_children


def test_b53_the_parent_keeps_nothing_of_the_connection(
    module: Any, make: Make, connect: Connect, ready_then_wait: Any
) -> None:
    """Its socket is closed as soon as the child is there; so the client sees the end when the child ends."""
    server = make(recording(module.ForkingTCPServer), ready_then_wait)
    client = connect(server)
    server.handle_request()
    [request] = [call.args[0] for call in server.calls if call.name == "close_request"]
    assert request.fileno() == -1
    assert int(client.recv(100)) in server.active_children
    client.send(b"x")
    assert receive_all(client) == b""
