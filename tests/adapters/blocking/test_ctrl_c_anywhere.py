"""Ctrl-C at every line of the adapter's own code: nothing hangs, and nothing is left."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
from ctrl_c import CtrlC

import trioserver

from .kit import Started, tcp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trioserver_adapters.blocking import BlockingServer

ADAPTER = ("trioserver_adapters/blocking.py", "trioserver_adapters/_trio_thread.py")


def serve(server: BlockingServer[Any]) -> None:
    """The program of most."""
    with server:
        server.serve_forever()


def start_and_stop(server: BlockingServer[Any]) -> None:
    """One with a server in the background."""
    server.start()
    server.call(trio.lowlevel.checkpoint)
    server.stop()
    server.server_close()


def ask_first(server: BlockingServer[Any]) -> None:
    """One with a loop of its own."""
    server.fileno()
    server.handle_request()
    server.shutdown()
    server.server_close()


def contained(program: Callable[[BlockingServer[Any]], None], server: BlockingServer[Any]) -> Iterator[None]:
    """Run a program in a generator, which has an exception state of its own.

    CPython leaves an exception in that when a trace function raises at the end of an ``except``; it
    would be the context of all exceptions of all tests to come.
    """
    program(server)
    yield


@pytest.mark.parametrize("program", [serve, start_and_stop, ask_first])
def test_ctrl_c_when_it_comes_at_any_line_then_the_server_can_be_closed_and_is_gone(
    program: Callable[[BlockingServer[Any]], None],
) -> None:
    """It is always raised; and what it interrupts can be done again by the next call."""
    k = lines = 0
    while lines >= k:
        k += 1
        server = tcp()
        server.server.add_observer(Started(trioserver.ServerStarted, server.request_shutdown))
        ctrl_c = CtrlC(k, ADAPTER)
        outer = sys.gettrace()
        interrupted = False
        try:
            sys.settrace(ctrl_c)
            next(contained(program, server), None)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            sys.settrace(outer)
        lines = ctrl_c.lines
        assert interrupted == (lines >= k)
        server.server_close()
        assert server.server.state is trioserver.State.CLOSED
        assert server.server.fileno() == -1
        assert server.shutdown() == server.shutdown()
    assert k > 100
