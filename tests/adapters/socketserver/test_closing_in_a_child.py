"""A child of a handler that closes the server."""

from __future__ import annotations

import os
import socket

from trioserver_adapters import socketserver

from .kit import Call, Flag, wait_until

ADDRESS = ("127.0.0.1", 0)


def test_server_close_in_a_child_forked_while_a_thread_is_being_started_then_it_returns() -> None:
    """The lock of who starts threads is held by nobody in the child."""
    server = socketserver.ThreadingTCPServer(ADDRESS, lambda *args: None)
    with socket.create_connection(server.server_address):
        server.handle_request()
    held, release = Flag(), Flag()

    def hold() -> None:
        with server._threads.starting:  # as while a thread is being started
            held.set()
            release.block()

    holder = Call(hold)
    held.block()
    pid = os.fork()
    if not pid:
        server.server_close()
        os._exit(0)
    release.set()
    holder.wait()
    try:
        wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0])
    except AssertionError:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        raise
    server.server_close()
