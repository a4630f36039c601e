"""B49: the children that ``server_close`` waits for."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from ..kit import receive_all, wait_until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Make = Callable[..., Any]
    Connect = Callable[..., socket.socket]


def test_b49_server_close_closes_the_listener_then_waits_for_the_children(
    make: Make, connect: Connect, call: Callable[..., Any], ready_then_wait: Any
) -> None:
    """For all of them; then none is left, in the set or in the system."""
    server = make("ForkingTCPServer", ready_then_wait)
    clients = [connect(server) for _ in range(2)]
    for client in clients:
        server.handle_request()
        assert int(client.recv(100)) in server.active_children
    closing = call(server.server_close)
    wait_until(lambda: server.socket.fileno() == -1)
    clients[1].send(b"x")
    assert receive_all(clients[1]) == b""
    assert closing.goes_on()
    clients[0].send(b"x")
    assert closing.wait() is None
    assert not server.active_children
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("where", ["ForkingMixIn", "class", "instance"])
def test_b49_children_are_not_waited_for_without_block_on_close(
    module: Any,
    make: Make,
    connect: Connect,
    ready_then_wait: Any,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wherever that is set, and whenever: it is read at the end. Collecting works after that, too."""

    class Server(module.ForkingTCPServer):
        pass

    server = make(Server, ready_then_wait)
    client = connect(server)
    server.handle_request()
    child = int(client.recv(100))
    owner = {"ForkingMixIn": module.ForkingMixIn, "class": Server, "instance": server}[where]
    with monkeypatch.context() as patch:
        patch.setattr(owner, "block_on_close", False, raising=False)
        server.server_close()
    os.kill(child, 0)  # it is there
    assert server.active_children == {child}
    client.send(b"x")
    server.collect_children(blocking=True)
    assert not server.active_children


def test_b49_closing_a_server_that_has_no_children_does_nothing_more(module: Any, make: Make) -> None:
    """Twice, or out of a constructor that fails, which must not hide why it did."""
    server = make("ForkingTCPServer", None)
    with pytest.raises(OSError, match="in use"):
        module.ForkingTCPServer(server.server_address, None)
    assert [server.server_close(), server.server_close()] == [None, None]
    assert server.active_children is None


@pytest.mark.parametrize("how", ["attribute", "argument"])
def test_b49_a_grace_period_ends_the_wait(
    is_ours: bool, make: Make, connect: Connect, call: Callable[..., Any], ready_then_wait: Any, how: str
) -> None:
    """In ours, where the children are terminated; the stdlib knows neither way."""

    def handler(request: Any, *args: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *args: os._exit(0))
        ready_then_wait(request)

    server = make("ForkingTCPServer", handler, **({"grace_period": 0.01} if how == "attribute" else {}))
    client = connect(server)
    server.handle_request()
    assert int(client.recv(100)) in server.active_children
    closing = call(lambda: server.server_close(**({"grace_period": 0.01} if how == "argument" else {})))
    if is_ours:
        assert closing.wait() is None
        assert receive_all(client) == b""
        return
    if how == "argument":
        with pytest.raises(TypeError, match="grace_period"):
            closing.wait()
    else:
        assert closing.goes_on()
    client.send(b"x")
    server.server_close()
