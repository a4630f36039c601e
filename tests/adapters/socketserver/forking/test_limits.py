"""B50 and B54: the limits of a forking server, and the children that are not its own."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ..kit import MOMENT, receive_all, recording, wait_until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    Make = Callable[..., Any]
    Connect = Callable[..., socket.socket]


def nothing(*args: Any) -> None:
    """A handler."""


@pytest.fixture
def stranger() -> Iterator[int]:
    """A child of this process that is none of a server's; it has exited, and somebody else waits for it."""
    pid = os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", ""], os.environ)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    yield pid
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def test_b50_the_defaults_are_those_of_the_class(module: Any) -> None:
    """As they stand there; all are there before any instance is."""
    defaults = {"timeout": 300, "max_children": 40, "active_children": None, "block_on_close": True}
    assert {name: vars(module.ForkingMixIn).get(name, "missing") for name in defaults} == defaults


@pytest.mark.parametrize("where", ["ForkingMixIn", "class", "instance"])
def test_b50_handle_request_gives_up_after_the_timeout(
    module: Any, make: Make, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unlike that of other servers; and then it calls ``handle_timeout``."""
    cls = recording(module.ForkingTCPServer, handle_timeout=lambda self: "timed out")
    server = make(cls, None)
    assert server.timeout == 300
    owner = {"ForkingMixIn": module.ForkingMixIn, "class": cls, "instance": server}[where]
    monkeypatch.setattr(owner, "timeout", 0.001, raising=False)
    assert server.handle_request() == "timed out"


def test_b50_no_more_children_than_max_children_run(
    make: Make, serving: Any, connect: Connect, ready_then_wait: Any
) -> None:
    """Who comes then waits until one of them ends; the limit is read late."""
    server = make("ForkingTCPServer", ready_then_wait)
    server.max_children = 2
    with serving(server):
        first, second = clients = [connect(server) for _ in range(2)]
        children = {int(client.recv(100)) for client in clients}
        wait_until(lambda: server.active_children == children)
        third = connect(server)
        third.settimeout(MOMENT)
        with pytest.raises(TimeoutError):
            third.recv(100)
        third.settimeout(10)
        second.send(b"x")
        assert receive_all(second) == b""
        assert int(third.recv(100)) > 0
        for client in (first, third):
            client.send(b"x")
            assert receive_all(client) == b""


def test_b50_at_the_limit_shutdown_waits_for_a_child(
    is_ours: bool, make: Make, connect: Connect, call: Callable[..., Any], ready_then_wait: Any
) -> None:
    """The stdlib's loop is inside ``waitpid`` then; ours can be shut down at once."""
    server = make("ForkingTCPServer", ready_then_wait, max_children=1)
    loop = call(server.serve_forever, 0.01)
    client = connect(server)
    assert int(client.recv(100)) > 0
    stopping = call(server.shutdown)
    assert stopping.goes_on() is not is_ours
    client.send(b"x")
    stopping.wait()
    loop.wait()


def test_b50_at_the_limit_children_of_others_are_waited_for(
    is_ours: bool, make: Make, serving: Any, connect: Connect, stranger: int, ready_then_wait: Any
) -> None:
    """By the stdlib, which takes whichever ends; ours takes its own only."""
    server = make("ForkingTCPServer", ready_then_wait, max_children=1)
    with serving(server):
        client = connect(server)
        assert int(client.recv(100)) > 0
        client.send(b"x")
        assert receive_all(client) == b""
        wait_until(lambda: not server.active_children)
    if is_ours:
        assert os.waitpid(stranger, 0) == (stranger, 0)
    else:
        with pytest.raises(ChildProcessError):
            os.waitpid(stranger, 0)


def test_b54_below_the_limit_children_of_others_are_left_alone(
    make: Make, serving: Any, connect: Connect, stranger: int
) -> None:
    """Neither the loop nor the closing of the server waits for them."""
    server = make("ForkingTCPServer", nothing)
    with serving(server):
        for _ in range(3):
            assert receive_all(connect(server)) == b""
        wait_until(lambda: not server.active_children)
    assert os.waitpid(stranger, 0) == (stranger, 0)
