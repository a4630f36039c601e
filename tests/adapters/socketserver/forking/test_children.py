"""B52: when children that ended are waited for, and by which methods."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from ..kit import receive_all, wait_until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Make = Callable[..., Any]
    Connect = Callable[..., socket.socket]


def nothing(*args: Any) -> None:
    """A handler."""


def wait_exited(pid: int) -> None:
    """Wait until a child has exited, and leave it a zombie."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_b52_the_loop_waits_for_children_that_ended(make: Make, serving: Any, connect: Connect) -> None:
    """Without another request; nothing is left of them, in the set or in the system."""
    server = make("ForkingTCPServer", nothing)
    with serving(server):
        assert receive_all(connect(server)) == b""
        wait_until(lambda: server.active_children is not None and not server.active_children)
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


def test_b52_handle_request_alone_leaves_zombies(is_ours: bool, make: Make, connect: Connect) -> None:
    """In the stdlib: they add up with each call; in ours they are waited for as soon as they end."""
    server = make("ForkingTCPServer", nothing)
    children: set[int] = set()
    for _ in range(2):
        client = connect(server)
        server.handle_request()
        if is_ours:
            assert receive_all(client) == b""
            wait_until(lambda: not server.active_children)
        else:
            (child,) = server.active_children - children
            wait_exited(child)
            children.add(child)
    assert server.active_children == children
    if is_ours:
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("hook", ["service_actions", "handle_timeout", "collect_children", "server_close"])
def test_b52_each_of_these_waits_for_children_that_ended(
    is_ours: bool, make: Make, connect: Connect, hook: str
) -> None:
    """For those who call them from a loop of their own; none returns anything."""
    server = make("ForkingTCPServer", nothing)
    assert getattr(server, hook)() is None
    if hook == "server_close":
        server = make("ForkingTCPServer", nothing)
    client = connect(server)
    server.handle_request()
    assert receive_all(client) == b""
    for child in set() if is_ours else server.active_children:
        wait_exited(child)
    assert getattr(server, hook)() is None
    if is_ours:
        wait_until(lambda: not server.active_children)
    assert server.active_children == set()


@pytest.mark.parametrize("hook", ["service_actions", "handle_timeout", "collect_children"])
def test_b52_none_of_these_waits_for_children_that_run(
    make: Make, connect: Connect, ready_then_wait: Any, hook: str
) -> None:
    """They look, and go on."""
    server = make("ForkingTCPServer", ready_then_wait)
    client = connect(server)
    server.handle_request()
    child = int(client.recv(100))
    getattr(server, hook)()
    assert server.active_children == {child}
    client.send(b"x")


@pytest.mark.parametrize("limit", [40, 1])
def test_b52_a_child_that_somebody_else_waited_for_is_forgotten(
    is_ours: bool, make: Make, connect: Connect, limit: int
) -> None:
    """It is no error that it is gone, and it makes room at the limit."""
    server = make("ForkingTCPServer", nothing, max_children=limit)
    connect(server)
    server.handle_request()
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        assert is_ours  # which was faster
    server.collect_children()
    assert not server.active_children
    server.collect_children(blocking=True)
    assert not server.active_children


def test_b52_collecting_is_one_method_that_can_be_overridden(module: Any, make: Make) -> None:
    """The loop, the timeout and the end call it, the last with what ``block_on_close`` is then."""
    calls: list[Any] = []

    class Server(module.ForkingTCPServer):
        def collect_children(self, **how: Any) -> None:
            calls.append(how)

    server = make(Server, None)
    server.service_actions()
    server.handle_timeout()
    assert calls == [{}, {}]
    for waits in (True, False):
        server.block_on_close = waits
        server.server_close()
        assert calls[-1] == {"blocking": waits}
