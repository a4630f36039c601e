"""Bug 10: children of the stdlib's forking servers become zombies, and it waits for those of others."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Any

import pytest

from .kit import (
    SECONDS,
    ask,
    bounded,
    client_of,
    isolated,
    receive,
    serving,
    start,
    variant,
    wait_until,
)

ADDRESS = ("127.0.0.1", 0)
POLL_INTERVAL = 10.0

if not hasattr(os, "fork"):
    pytest.skip("there are no forking servers without fork()", allow_module_level=True)


def tell_pid(request: Any, client_address: Any, server: Any) -> None:
    """A handler that ends at once."""
    request.sendall(b"%d" % os.getpid())


def tell_pid_and_wait(request: Any, client_address: Any, server: Any) -> None:
    """A handler that ends when its client lets it."""
    tell_pid(request, client_address, server)
    request.recv(1)


def tell_pid_and_hang(request: Any, client_address: Any, server: Any) -> None:
    """A handler that does not end by itself."""
    tell_pid(request, client_address, server)
    time.sleep(100)


def reaped(pid: int) -> bool:
    """Whether a child has ended and been waited for: by others, as this does not."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def foreign_child(status: int) -> int:
    """A child of the program's own that has ended, with this status, and waits to be waited for."""
    if (pid := os.fork()) == 0:
        os._exit(status)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


@isolated
def test_child_when_there_is_only_handle_request_then_is_reaped(module: Any, patience: float) -> None:
    """At its end, and not with the next request or by a loop: there may be neither."""
    with module.ForkingTCPServer(ADDRESS, tell_pid) as server:
        with client_of(server) as client:
            server.handle_request()
            pid = int(receive(client))
        wait_until(lambda: reaped(pid), patience)
        wait_until(lambda: not server.active_children, patience)


@isolated
def test_child_when_the_loop_sleeps_then_is_reaped(module: Any, patience: float) -> None:
    """Whatever the poll interval."""
    with module.ForkingTCPServer(ADDRESS, tell_pid_and_wait) as server:
        thread = start(server, POLL_INTERVAL)
        with client_of(server) as client:
            pid = int(receive(client))
            wait_until(lambda: server.active_children == {pid})
        wait_until(lambda: reaped(pid), patience)
        wait_until(lambda: not server.active_children, patience)
        bounded(patience, server.shutdown)
        bounded(patience, thread.join)


@isolated
def test_child_when_the_loop_has_ended_then_is_reaped(module: Any, patience: float) -> None:
    """After a ``shutdown()``, before ``server_close()``, which may come much later."""
    with module.ForkingTCPServer(ADDRESS, tell_pid_and_wait) as server:
        with client_of(server) as client:
            with_loop = start(server)
            pid = int(receive(client))
            bounded(SECONDS, server.shutdown)
            bounded(SECONDS, with_loop.join)
        wait_until(lambda: reaped(pid), patience)


@isolated
def test_max_children_when_reached_then_a_child_of_the_program_is_left_to_it(module: Any) -> None:
    """Its status is whose child it is, not the server's, who would wait for any."""
    foreign = foreign_child(7)
    server = variant(module.ForkingTCPServer, max_children=1)(ADDRESS, tell_pid)
    with serving(server):
        for _ in range(3):
            assert int(ask(server)) != os.getpid()
        try:
            status = os.waitstatus_to_exitcode(os.waitpid(foreign, 0)[1])
        except ChildProcessError:
            raise AssertionError("the server has waited for it") from None
        assert status == 7


@isolated
def test_max_children_when_reached_then_a_shutdown_is_not_held_up(module: Any, patience: float) -> None:
    """By a child that runs as long as its client wants."""
    with variant(module.ForkingTCPServer, max_children=1)(ADDRESS, tell_pid_and_wait) as server:
        thread = start(server)
        with client_of(server) as client, client_of(server):
            pid = int(receive(client))
            wait_until(lambda: server.active_children == {pid})
            bounded(patience, server.shutdown)
            bounded(patience, thread.join)
            assert len(server.active_children) == 1


@isolated
def test_max_children_when_reached_then_the_next_client_waits_for_a_place(either: Any) -> None:
    """The contract: never more than that, and each is served in its turn."""
    with contextlib.ExitStack() as stack:
        server = variant(either.ForkingTCPServer, max_children=2)(ADDRESS, tell_pid_and_wait)
        with serving(server):
            clients = [stack.enter_context(client_of(server)) for _ in range(5)]
            pids = []
            for client in clients:
                pids.append(int(receive(client)))
                assert len(server.active_children or ()) <= 2
                client.close()
        assert len(set(pids)) == 5


@pytest.mark.parametrize("handler", [tell_pid_and_wait, tell_pid_and_hang])
@isolated
def test_grace_period_when_children_run_then_they_are_terminated(
    module: Any, patience: float, handler: Any
) -> None:
    """And waited for: after ``server_close()`` there is none left, whatever it was at."""
    server = variant(module.ForkingTCPServer, grace_period=0.05)(ADDRESS, handler)
    with client_of(server) as client, client_of(server) as other:
        thread = start(server)
        pids = [int(receive(each)) for each in (client, other)]
        bounded(SECONDS, server.shutdown)
        bounded(SECONDS, thread.join)
        bounded(patience, server.server_close)
        assert [reaped(pid) for pid in pids] == [True, True]
        assert not server.active_children
        assert [receive(each) for each in (client, other)] == [b"", b""]


@isolated
def test_server_close_when_given_a_grace_period_then_that_one_holds(module: Any, patience: float) -> None:
    """Whatever the attribute says; those that end within it end by themselves."""
    server = variant(module.ForkingTCPServer, grace_period=60.0)(ADDRESS, tell_pid_and_hang)
    with client_of(server) as client:
        thread = start(server)
        pid = int(receive(client))
        bounded(SECONDS, server.shutdown)
        bounded(SECONDS, thread.join)
        try:
            bounded(patience, server.server_close, grace_period=0)
        except TypeError:
            raise AssertionError("the stdlib's has no such parameter") from None
        assert reaped(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@isolated
def test_children_when_many_have_ended_then_no_descriptor_of_theirs_is_left(either: Any) -> None:
    """The contract: what waits for a child costs nothing once it is gone."""
    with either.ForkingTCPServer(ADDRESS, tell_pid) as server:
        with serving_only(server):
            ask(server)
            wait_until(lambda: not server.active_children)
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(20):
                ask(server)
            wait_until(lambda: not server.active_children)
            wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before)


@contextlib.contextmanager
def serving_only(server: Any) -> Any:
    """Serve in another thread, and leave the server open."""
    thread = start(server)
    yield
    bounded(SECONDS, server.shutdown)
    bounded(SECONDS, thread.join)
